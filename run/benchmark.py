"""How fast is the study? Measured here and now, in one run, beside a plain port of the recipe that it replaces.

`python run/benchmark.py` writes `reports/benchmark.csv` and `reports/Benchmark.png` on the complete data, in about four
minutes, or nine where there is AVX2 alone. `--quick` takes a third of that, and `--sample` measures on the
embedded sample; either writes to `reports/sample/`.
"""

import argparse
import os
import platform
import resource
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `src` is found without an installation

import joblib
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms.functional import to_tensor

from src.autoencoder import ConvAutoencoder, build_autoencoder
from src.baseline import PRIOR_WORK, PCACode
from src.benchmark_plots import overview, summary
from src.classifier import MLP, evaluate_classifier, train_classifier
from src.data_loader import load_dataset
from src.experiment import Experiment, Settings
from src.style import apply_style, save_figure
from src.sweep import learn_and_read
from src.train import (
    TrainConfig,
    build_optimizer,
    code_views,
    encode_images,
    reconstruction_errors,
    to_batch,
    train_epoch,
)
from src.utils import REPORTS_DIR, atomic_path, mixed_precision, one_thread, precision, seed_everything

PLAIN_BATCH, PLAIN_EPOCHS = 64, 20  # what the prior work trained with
FAMILIES = ("conv", "vae")
LATENT_DIMS = (10, 20, 50, 100)


class PlainConv(nn.Module):
    """The prior work's convolutional autoencoder: two convolutions and a dense bottleneck, and back."""

    def __init__(self, latent_dim):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),  # (3, 32, 32) -> (16, 16, 16)
            nn.Conv2d(16, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),  # -> (8, 8, 8)
            nn.Flatten(), nn.Linear(512, latent_dim), nn.Linear(latent_dim, 512), nn.Unflatten(1, (8, 8, 8)),
            nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2),  # -> (8, 16, 16)
            nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2),  # -> (16, 32, 32)
            nn.Conv2d(16, 3, 3, padding=1), nn.Sigmoid(),  # -> (3, 32, 32)
        )  # fmt: skip

    def loss(self, x):
        return F.mse_loss(self.layers(x), x)


class PlainVAE(nn.Module):
    """The prior work's VAE: dense, 400 hidden units, and the divergence weighed by one over the number of pixels."""

    def __init__(self, latent_dim):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(3072, 400), nn.ReLU(), nn.Linear(400, 2 * latent_dim))
        self.decoder = nn.Sequential(nn.Linear(latent_dim, 400), nn.ReLU(), nn.Linear(400, 3072), nn.Sigmoid())

    def loss(self, x):
        mean, log_variance = self.encoder(x).chunk(2, 1)
        rebuilt = self.decoder(mean + torch.randn_like(mean) * (log_variance / 2).exp())
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        return F.mse_loss(rebuilt, x.flatten(1)) + kl / 3072


def plain_epoch(family, latent_dim, images):
    """Seconds a pass over `images` takes as one would first write it: PIL, ToTensor, DataLoader, float32, all threads."""
    model = {"conv": PlainConv, "vae": PlainVAE}[family](latent_dim)
    pictures = [Image.fromarray(image) for image in images]
    loader = DataLoader(
        pictures, PLAIN_BATCH, shuffle=True, collate_fn=lambda part: torch.stack(list(map(to_tensor, part)))
    )
    optimizer = torch.optim.Adam(model.parameters())
    start = time.perf_counter()
    for x in loader:
        optimizer.zero_grad()
        loss = model.loss(x)
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def our_epoch(family, latent_dim, images, model=None):
    """Seconds a pass over `images` takes as the study makes it, on one thread."""
    config = TrainConfig()
    with one_thread():
        model = (model or build_autoencoder(family, latent_dim)).to(memory_format=torch.channels_last)
        optimizer, schedule = build_optimizer(model, config, steps=len(images))
        start = time.perf_counter()
        train_epoch(model, images, config.batch_size, optimizer, schedule)
        return time.perf_counter() - start


def in_turns(measurements, rounds):
    """What functions measure, each once in each of some rounds: a column a function, by its key, and a row a round."""
    return pd.DataFrame([{key: measure() for key, measure in measurements.items()} for _ in range(rounds)])


def epochs(images, rounds):
    """(a) An epoch of both recipes and both families, in turns, so that drift of the machine hits all alike."""
    recipes = {"ours": our_epoch, "plain": plain_epoch}
    measurements = {
        f"{who} {family}": partial(recipes[who], family, 100, images) for who in recipes for family in FAMILIES
    }
    for setting, value in in_turns(measurements, rounds).median().items():
        yield "epoch", setting, value * 45_000 / len(images), "s an epoch of 45,000 images"
        yield "epoch", setting, len(images) / value, "images a second"


def time_to_target(dataset, latent_dims, step=50):
    """(b) Seconds of one thread until the validation error is that which the prior work reports after 20 epochs."""
    images, validation = dataset.split("train")[0], dataset.split("validation")[0][:1000]
    config = TrainConfig()
    targets = PRIOR_WORK[PRIOR_WORK.dataset == dataset.name].set_index("latent_dim").test_mse
    for size in latent_dims:
        seed_everything(0)
        model = build_autoencoder("conv", size)
        with one_thread():
            start = time.perf_counter()
            model.prepare(images)
            seconds = time.perf_counter() - start
            steps = config.epochs * len(images) // config.batch_size
            optimizer, schedule = build_optimizer(model.to(memory_format=torch.channels_last), config, steps)
            error = reconstruction_errors(model, validation).mean()
            for _ in range(steps // step):
                if error <= targets[size]:
                    break
                part = images[np.random.permutation(len(images))[: step * config.batch_size]]
                start = time.perf_counter()
                train_epoch(model, part, config.batch_size, optimizer, schedule)
                seconds += time.perf_counter() - start
                error = reconstruction_errors(model, validation).mean()
        yield "time to target", f"conv d={size}", seconds if error <= targets[size] else np.nan, "s"


def run_pair(dataset, family, latent_dim, sample):
    """One pair of the grid with its linear, neighbour and MLP readers, as a worker does it; seconds and peak memory."""
    with one_thread():
        start = time.perf_counter()
        data = load_dataset(dataset, download=False, sample=sample)
        learn_and_read(Experiment(dataset, family, latent_dim, seed=1), data, Settings())
    return time.perf_counter() - start, peak_memory()


def peak_memory():
    """GiB that this process has held at most, pages that it shares with others included."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux the other way counts what the parent held when it started this process, too
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30


def whole_grid(dataset, pairs, plain):
    """(c) The grid of 16 pairs, extrapolated from `pairs` of it run two at a time, and the prior recipe's from epochs."""
    job = joblib.delayed(run_pair)
    outcomes = joblib.Parallel(2)(job(dataset.name, *pair, dataset.is_sample) for pair in pairs)
    for (family, size), (seconds, _) in zip(pairs, outcomes, strict=True):
        yield "grid", f"{family} d={size}", seconds, "s a pair, two at a time"
    ours = 16 / 2 * sum(seconds for seconds, _ in outcomes) / len(pairs)
    epoch = {family: plain[f"plain {family}"] * len(dataset.split("train")[0]) / 45_000 for family in FAMILIES}
    theirs = PLAIN_EPOCHS * 8 * (epoch["conv"] + epoch["vae"])
    yield "grid", "ours, 16 pairs with classifiers, extrapolated", ours / 60, "minutes"
    yield "grid", "plain port, 16 autoencoders alone, extrapolated", theirs / 60, "minutes"
    yield "grid", "plain port over ours", theirs / ours, "times"
    yield "grid", "ours in epochs of the plain port's conv", ours / epoch["conv"], "epochs"
    yield "memory", "peak of a worker", max(memory for _, memory in outcomes), "GiB"


def arithmetic(images):
    """(d) How much of this machine's peak the training step reaches, and which operators take the rest."""
    with one_thread():
        peaks = {}
        # where bfloat16 is not used, it is emulated, and one product takes a minute
        for dtype in {torch.float32, getattr(torch, precision())}:
            a, b = torch.randn(2, 2048, 2048).to(dtype)
            runs = []
            for _ in range(4):
                start = time.perf_counter()
                a @ b
                runs.append(time.perf_counter() - start)
            peaks[str(dtype).removeprefix("torch.")] = 2 * 2048**3 / min(runs) / 1e9
        for name, peak in peaks.items():
            yield "arithmetic", f"matrix product, {name}", peak, "GFLOP/s, one thread"
        model = build_autoencoder("conv", 100).to(memory_format=torch.channels_last)
        x = to_batch(images[:128], torch.device("cpu"))
        counter = FlopCounterMode(display=False)
        with counter, mixed_precision(x.device):
            model.loss(x)["total"].backward()
        rate = counter.get_total_flops() / 128 / (our_epoch("conv", 100, images) / len(images)) / 1e9
        yield "arithmetic", "training step", rate, "GFLOP/s, one thread"
        yield "arithmetic", "training step, share of the peak", 100 * rate / peaks[precision()], "%"
        with profile(activities=[ProfilerActivity.CPU]) as record:
            our_epoch("conv", 100, images[:6400])
    operators = record.key_averages()
    total = sum(operator.self_cpu_time_total for operator in operators)
    for operator in sorted(operators, key=lambda o: -o.self_cpu_time_total)[:8]:
        share = 100 * operator.self_cpu_time_total / total
        yield "profile", operator.key.removeprefix("aten::"), share, "% of the time"


def scaling(images, sizes, quick):
    """(e) How an epoch's time grows with the number of images, the latent size, the width, and workers."""
    few, rounds = images[: sizes[0]], 1 if quick else 2
    counts = {count: partial(our_epoch, "conv", 100, images[:count]) for count in sizes}
    dims = (10, 100, 1024) if quick else (10, 50, 100, 300, 1024)
    latent = {size: partial(our_epoch, "conv", size, few) for size in dims}
    widths = {
        width: partial(our_epoch, "conv", 100, few, ConvAutoencoder(100, (width, width))) for width in (16, 32, 64)
    }
    for count, seconds in in_turns(counts, rounds).min().items():
        yield "images", count, seconds, "s an epoch"
    for part, measurements in (("latent size", latent), ("width", widths)):
        for setting, seconds in in_turns(measurements, rounds).min().items():
            yield part, setting, seconds, f"s an epoch of {len(few):,} images"
    for jobs in (1, 2):
        with joblib.Parallel(jobs) as parallel:
            # the first call starts the workers, which is not what is measured
            parallel(joblib.delayed(our_epoch)("conv", 10, few[:256]) for _ in range(2))
            start = time.perf_counter()
            parallel(joblib.delayed(our_epoch)("conv", 100, few) for _ in range(2))
            yield "workers", jobs, time.perf_counter() - start, f"s for two epochs of {len(few):,} images"


def read_for(epochs, views, labels, codes, truth):
    """Seconds that an MLP takes to learn to read the class for so many epochs, and its accuracy on other codes."""
    with one_thread():
        start = time.perf_counter()
        reader = train_classifier(views, labels, labels.max() + 1, replace(MLP, epochs=epochs))
        return time.perf_counter() - start, evaluate_classifier(reader, codes, truth)["accuracy"]


def accuracy_for_time(dataset, epochs):
    """(f) What the time that the MLP is trained for buys: accuracy on validation images, from PCA's code of 100 numbers."""
    (images, labels), (held_out, truth) = dataset.split("train"), dataset.split("validation")
    code = PCACode(LATENT_DIMS[-1])
    code.prepare(images)
    views, codes = list(code_views(code, images, Settings().views)), encode_images(code, held_out)
    job = joblib.delayed(read_for)
    longest_first = sorted(epochs, reverse=True)  # so that no worker is left alone with it
    outcomes = joblib.Parallel(2)(job(count, views, labels, codes, truth) for count in longest_first)
    for count, (seconds, accuracy) in reversed(list(zip(longest_first, outcomes, strict=True))):
        yield "accuracy for time", count, 100 * accuracy, "% right, validation"
        yield "reader", f"MLP, {count} epochs", seconds, "s, two at a time"


def measure(dataset, quick):
    """All parts in turn, as rows `part`, `setting`, `value`, `unit`."""
    images = dataset.split("train")[0]
    few, rounds = (images[:2000], 2) if quick else (images[:9000], 3)
    rows = list(epochs(few, rounds))
    plain = {setting: value for part, setting, value, unit in rows if unit.startswith("s an epoch")}
    # pairs that take about what the grid's take in the mean, the largest code among them for its memory, and none for
    # which the slowest reader, which is not counted, is due
    pairs = [("conv", 20), ("vae", 100)] if quick else [("conv", 20), ("vae", 20), ("conv", 50), ("vae", 100)]
    rows += arithmetic(few)
    rows += scaling(images, (2000, 4000) if quick else (5000, 10_000, 20_000, 45_000), quick)
    rows += time_to_target(dataset, LATENT_DIMS[-1:] if quick else LATENT_DIMS)
    rows += whole_grid(dataset, pairs, plain)
    rows += accuracy_for_time(dataset, (2, 4) if quick else (4, 8, MLP.epochs, 20))
    return pd.DataFrame(rows, columns=["part", "setting", "value", "unit"])


def machine():
    """What the numbers were measured on, in a line."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
    return (
        f"{model}, {os.cpu_count()} cores, {precision()}, Python {platform.python_version()}, torch {torch.__version__}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer images and rounds, in two minutes")
    parser.add_argument("--sample", action="store_true", help="on the embedded sample of CIFAR-10")
    options = parser.parse_args()
    dataset = load_dataset("CIFAR10", sample=options.sample)
    apart = options.quick or dataset.is_sample
    rows = measure(dataset, options.quick)
    conditions = f"{machine()}; {len(dataset.split('train')[0]):,} training images"
    rows.loc[len(rows)] = ("machine", conditions, np.nan, "")
    with atomic_path((REPORTS_DIR / "sample" if apart else REPORTS_DIR) / "benchmark.csv") as path:
        rows.to_csv(path, index=False)
    apply_style()
    save_figure(overview(rows, conditions), "Benchmark", apart)
    print(rows.drop(index=rows.index[-1]).round(3).to_string(index=False))
    print(conditions, summary(rows), sep="\n\n")


if __name__ == "__main__":
    main()
