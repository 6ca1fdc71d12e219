"""Which recipe has the lowest validation error after so many seconds of training? All are measured in one run, in turns.

On the complete data it takes ten minutes and writes `reports/benchmark.csv` and `reports/Benchmark.png`; with `--quick`, which
leaves the full preset out, three minutes, into `reports/quick/`; with `--sample`, on the embedded sample, into `reports/sample/`.
"""

import argparse
import os
import platform
import sys
import time
from dataclasses import asdict, replace
from itertools import islice, zip_longest
from pathlib import Path
from timeit import repeat

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `src` is found without an installation

import joblib
import matplotlib.pyplot as plt
import pandas as pd
import torch
from recipes import D, PlainVAE, plain_conv, pythae_rows, train_ours, train_plainly, tutorial_conv
from torch.utils.flop_counter import FlopCounterMode

from src.autoencoder import build_autoencoder
from src.baseline import PRIOR_WORK, PCACode
from src.data_loader import load_dataset
from src.encode import reconstruction_errors, to_batch
from src.evaluate import evaluate_probes, measure_reconstruction
from src.report.style import MSE_LABEL, PRIOR, apply_style, colour, save_figure
from src.study.experiment import DEFAULT_PROBES, PRESETS
from src.train import train_autoencoder
from src.utils import REPORTS_DIR, atomic_path, get_device, has_bfloat16, mixed_precision, one_thread

QUICK = PRESETS["quick"].settings
CORES = f"{torch.get_num_threads()} of {os.cpu_count()} cores"
THREADS = "all cores" if torch.get_num_threads() == os.cpu_count() else CORES
COLOURS = {"ours": colour("conv"), "tutorial": "#2a9d4a", "PCA": colour("pca")}  # all else is the prior work's


def follow(name, model, training, limit, validation):
    """Train a slice a turn, two at least, for `limit` seconds; yields how many images and seconds it has taken, and the error."""
    images, seconds, steps, wanted, sizes = 0, 0.0, 0, 0, []
    while len(sizes) == wanted and (seconds < limit or steps <= 5):
        start, wanted = time.perf_counter(), 5 + steps // 8  # so that points are even where time is logarithmic
        sizes = list(islice(training, wanted))
        images, seconds, steps = images + sum(sizes), seconds + time.perf_counter() - start, steps + len(sizes)
        yield name, images, seconds, reconstruction_errors(model, validation).mean()
        model.train()


def ours(name, settings, latent_dim=D):
    return build_autoencoder(name, latent_dim, **asdict(settings.network))


def race(dataset, validation, limit, presets):
    """All recipes in turns, ours to their end and the others for `limit` seconds: a table of `name`, `images`, `seconds`, `error`."""
    torch.manual_seed(0)
    recipes = [
        (f"ours {name}, one core", ours("conv", PRESETS[name].settings), train_ours, PRESETS[name].settings.train, 1e9)
        for name in presets
    ]
    recipes += [
        (f"plain port, {THREADS}", plain_conv(), train_plainly, 64, limit),
        (f"tutorial 9, {THREADS}", tutorial_conv(), train_plainly, 256, limit),
        ("ours quick, VAE, one core", ours("vae", QUICK), train_ours, QUICK.train, 1e9),
        (f"plain port, VAE, {THREADS}", PlainVAE(), train_plainly, 64, limit / 8),
    ]
    runs = [follow(name, m, train(how, m, dataset), end, validation) for name, m, train, how, end in recipes]
    points = [point for turn in zip_longest(*runs) for point in turn if point]
    return pd.DataFrame(points, columns=["name", "images", "seconds", "error"])


def run_pair(sample, family, latent_dim):
    """A pair of the quick study's grid with its probes, as a worker runs it: seconds, and GiB at its peak."""
    start = time.perf_counter()
    with one_thread():
        dataset, model = load_dataset("CIFAR10", sample=sample), ours(family, QUICK, latent_dim)
        train_autoencoder(model, dataset, QUICK.train, progress=False)
        measure_reconstruction(model, dataset)
        evaluate_probes(model, dataset, DEFAULT_PROBES, 0, QUICK.views, QUICK.mlp, QUICK.cnn)
    return time.perf_counter() - start, float(read("/proc/self/status", "VmHWM").rstrip(" kB") or "nan") / 2**20


def grid_rows(sample, pairs, plain_epoch):
    """The quick study's grid of 16 pairs, extrapolated from `pairs` of it that run two at a time."""
    seconds, peaks = zip(*joblib.Parallel(2)(joblib.delayed(run_pair)(sample, *pair) for pair in pairs), strict=True)
    grid = 16 / 2 * sum(seconds) / len(pairs)
    yield "grid", f"16 pairs with probes, from {len(pairs)}", grid / 60, "minutes"
    yield "grid", f"16 pairs with probes, from {len(pairs)}", grid / plain_epoch, "epochs of the plain port"
    yield "memory", "peak of a worker", max(peaks), "GiB"


def arithmetic_rows(images):
    """What a product of large matrices reaches, and a forward and backward pass of ours as a share of it."""
    model, x = ours("conv", QUICK).to(memory_format=torch.channels_last), to_batch(images[:128], "cpu")
    a, rates = torch.randn(2048, 2048), []
    for run in (lambda: a @ a, lambda: model.loss(x)["total"].backward()):
        with mixed_precision(a.device), FlopCounterMode(display=False) as counter:
            run()
        with mixed_precision(a.device):
            rates.append(counter.get_total_flops() / min(repeat(run, number=1, repeat=20)))
    yield "arithmetic", "matrix product, one core", rates[0] / 1e9, "GFLOP/s"
    yield "arithmetic", "training step, one core", 100 * rates[1] / rates[0], "% of the matrix product"


def growth_rows(dataset, *sizes):
    """Seconds of an epoch, the least of the quick study's, for numbers of images and latent dimensions."""
    for count, latent_dim in sizes:
        part = replace(dataset, x_train=dataset.x_train[:count], y_train=dataset.y_train[:count])
        history = train_autoencoder(ours("conv", QUICK, latent_dim), part, QUICK.train, progress=False)
        yield "growth", f"{count:,} images, d = {latent_dim}", min(epoch["seconds"] for epoch in history), "s an epoch"


def measure(dataset, short):
    """All parts one after the other, as a table of `part`, `setting`, `value`, `unit`."""
    images, validation, pca = dataset.split("train")[0], dataset.split("validation")[0][:1_000], PCACode(D)
    pca.initialise(images)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None  # what others compute holds all cores up most
    prior = PRIOR_WORK.set_index(["dataset", "latent_dim"]).test_mse["CIFAR10", D]
    rows = [("machine", machine(), load, "load average"), ("reference", "prior work's report", prior, "test MSE")]
    rows += [("reference", "PCA", reconstruction_errors(pca, validation).mean(), "validation MSE")]
    points = race(dataset, validation, *((15, ["quick"]) if short else (90, PRESETS)))
    rows += [(f"error of {p.name}", f"{p.seconds:.2f} s", p.error, "validation MSE") for p in points.itertuples(False)]
    spans = points.groupby("name", sort=False)[["seconds", "images"]].agg(lambda column: column.max() - column.min())
    speeds = 45_000 * spans.seconds / spans.images
    rows += [("speed", name, speed, "s an epoch of 45,000 images") for name, speed in speeds.items()]
    pairs = [("conv", 20), ("vae", 100), ("vae", 20), ("conv", 50)][: 2 if short else 4]
    rows += grid_rows(dataset.is_sample, pairs, speeds[f"plain port, {THREADS}"] * len(images) / 45_000)
    few, many = (2_000, 4_000) if short else (10_000, 20_000)
    with one_thread():
        rows += [*pythae_rows(images), *arithmetic_rows(images)]
        rows += [*growth_rows(dataset, (few, 10), (few, 100), (few, 1024), (many, 100))]
    return pd.DataFrame(rows, columns=["part", "setting", "value", "unit"])


def machine():
    """What the numbers are measured on: processor, cores, precision, versions."""
    processor = read("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()
    processor += f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    precision = "bfloat16" if has_bfloat16(get_device()) else "float32"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{processor}, {os.cpu_count()} cores, {precision}, {versions}"


def read(path, word):
    """What stands after a word and a colon in a file that Linux has; empty where there is none."""
    lines = Path(path).read_text().splitlines() if Path(path).exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(word)), "")


def draw(rows):
    """The figure of the benchmark's rows: the validation error against seconds of training."""
    figure, ax = plt.subplots(figsize=(9, 5))
    for part, run in rows[rows.part.str.startswith("error")].groupby("part", sort=False):
        name, seconds = part.removeprefix("error of "), run.setting.str.removesuffix(" s").astype(float)
        if "VAE" not in name:
            style = {"color": COLOURS.get(name.split()[0], PRIOR["color"])}
            place = {"ha": "right", "va": "top"} if name.startswith("ours") else {"va": "bottom"}
            ax.plot(seconds, run.value, ".-", **style)
            ax.text(1.1 * seconds.iloc[-1], 0.985 * run.value.iloc[-1], name, **place, **style)
    for _, name, error, unit in rows[rows.part == "reference"].itertuples(index=False):
        style, side = {"color": COLOURS.get(name, PRIOR["color"])}, "top" if name == "PCA" else "bottom"
        ax.axhline(error, ls="--", lw=0.9, **style)
        ax.text(0.01, error, f"{name} ({unit})", va=side, transform=ax.get_yaxis_transform(), **style)
    ax.set(xscale="log", yscale="log", xlabel="seconds of training", ylabel=f"validation {MSE_LABEL}")
    ax.margins(x=0.3)  # room for what is written beside the lines
    ax.set_yticks([0.005, 0.006, 0.008, 0.01, 0.02, 0.04, 0.06])
    ax.tick_params(axis="y", which="minor", labelleft=False)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
    ax.set_title(f"CIFAR-10, d = {D}: error against time of training\n{rows.setting[rows.part == 'machine'].item()}")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--sample", action="store_true", help="on the embedded sample of CIFAR-10")
    options = parser.parse_args()
    dataset = load_dataset("CIFAR10", sample=options.sample)
    rows = measure(dataset, options.quick or dataset.is_sample)
    folder = "sample" if dataset.is_sample else "quick" if options.quick else ""
    with atomic_path(REPORTS_DIR / folder / "benchmark.csv") as path:
        rows.to_csv(path, index=False)
    apply_style()
    save_figure(draw(rows), "Benchmark", folder)
    print(rows[~rows.part.str.startswith("error")].round(3).to_string(index=False))


if __name__ == "__main__":
    main()
