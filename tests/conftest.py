import os
import shutil
from dataclasses import replace

# kernels and workers, too: threads that wait for each other on a busy machine take many times as long
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from threadpoolctl import threadpool_limits

from data.make_sample import save_sample
from src import features, self_supervised
from src.data_loader import CLASSES, SUPERCLASS_OF, SUPERCLASSES, ImageDataset, load_dataset
from src.download import ARRAYS
from src.study import checkpoints, sweep
from src.study.checkpoints import COLUMNS
from src.study.experiment import Settings
from src.train import TrainConfig
from src.utils import DATA_DIR, ROOT

matplotlib.use("Agg")
# on the CPU results are exact, and tests compare them bit for bit; with a device named here, `-k "cuda or gpu"` tries that
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

ONCE = TrainConfig(epochs=1, batch_size=64)
QUICK = Settings(
    train=ONCE, random_start=ONCE, baseline=ONCE, supervised=ONCE, features=ONCE, views=2, mlp=ONCE, cnn=ONCE
)
TIMES = ["autoencoder_seconds", "classifier_seconds"]


def random_dataset(name="CIFAR10", train=200, test=100, seed=0):
    """A data set of noise with a little of its class in it, in the form of the real one."""
    rng = np.random.default_rng(seed)
    arrays = []
    for size in (train, test):
        labels = rng.permutation(np.arange(size) % len(CLASSES[name]))
        tint = (labels[:, None, None, None] * 199 / len(CLASSES[name])).astype(np.uint8)
        arrays += [rng.integers(0, 50, (size, 32, 32, 3), dtype=np.uint8) + tint, labels]
    return ImageDataset(name, *arrays, CLASSES[name], SUPERCLASSES[name], SUPERCLASS_OF[name])


def repository(folder, script, dataset=None):
    """A copy of the repository with `script` as go.py, and with `dataset` as its sample in place of the real one."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    if dataset is None:
        shutil.copytree(ROOT / "data" / "sample", folder / "data" / "sample")
    else:
        (folder / "data" / "sample").mkdir(parents=True)
        arrays = {key: getattr(dataset, key) for key in ARRAYS}
        save_sample(folder / "data" / "sample" / "CIFAR10.npz", **arrays, effort=0)
    (folder / "go.py").write_text(script)
    return folder


def same_weights(first, second):
    """Whether two models, or two states of one, agree bit for bit."""
    first, second = (x if isinstance(x, dict) else x.state_dict() for x in (first, second))
    return first.keys() == second.keys() and all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.fixture(scope="session")
def tiny():
    return random_dataset()


@pytest.fixture(scope="session")
def tiny100():
    return random_dataset("CIFAR100", train=300)


@pytest.fixture(scope="session")
def sample():
    return load_dataset("CIFAR10", sample=True)


@pytest.fixture(params=["CIFAR10", "CIFAR100"])
def real(request):
    if not (DATA_DIR / request.param).exists():
        pytest.skip(f"data/{request.param} is not there")
    return load_dataset(request.param, download=False)


@pytest.fixture
def study(tmp_path, monkeypatch, tiny):
    """The sweep on random images, with its files in a folder of the test's."""
    monkeypatch.setattr(checkpoints, "MODELS_DIR", tmp_path / "models")
    monkeypatch.setattr(checkpoints, "REPORTS_DIR", tmp_path / "reports")
    monkeypatch.setattr(sweep, "load_dataset", lambda name, download, sample: tiny)
    return tmp_path


@pytest.fixture
def results():
    """A table of results as a study leaves it, with numbers that can be checked by hand."""
    rows = []
    families = {"conv": (0.9, 10.0), "vae": (0.95, 15.0), "denoising": (0.92, 12.0), "pca": (1.0, 1.0)}
    families |= {"random": (None, 0.1), "supervised": (None, 20.0)}
    for dataset, worse in (("CIFAR10", 0.0), ("CIFAR100", 0.3)):
        for name, (share, seconds) in families.items():
            for position, size in enumerate((10, 20, 50, 100)):
                row = {"dataset": dataset, "autoencoder": name, "latent_dim": size, "seed": 0, "is_sample": False}
                row |= {"train_images": 45_000, "test_images": 10_000, "epochs": 6, "parameters": 1000}
                if share:
                    row |= {"val_mse": 0.2 * share / size, "test_mse": 0.2 * share / size}
                row |= {"accuracy_linear": 0.35, "accuracy_knn": 0.37, "accuracy_mlp": 0.4 + 0.05 * position - worse}
                row |= {"autoencoder_seconds": seconds, "classifier_seconds": 5.0}
                if name in ("conv", "pca"):
                    row |= {"accuracy_cnn": row["accuracy_mlp"] + (0.05 if name == "conv" else 0.02)}
                if name == "vae":
                    row |= {"kl_nats": 2.0 * size, "active_units": size, "bits_per_dim": 7 - size / 100}
                rows.append(row)
        for name, size in (("pixels", 3072), ("spatial", 128), ("spatial_finetuned", 128)):
            row = {"dataset": dataset, "autoencoder": name, "latent_dim": size, "seed": 0, "is_sample": False}
            row |= {"train_images": 45_000, "test_images": 10_000}
            row |= {"accuracy_linear": 0.41 - worse, "accuracy_mlp": 0.5 - worse, "accuracy_cnn": 0.8 - worse}
            rows.append(row | {"test_mse": 0.02, "autoencoder_seconds": 0.0, "classifier_seconds": 3.0})
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.fixture
def answers(results):
    """Of a thousand test images, those that each probe has right: the first, as many as the accuracy says."""
    found = {}
    for row in results.itertuples():
        for probe in ("linear", "knn", "mlp", "cnn"):
            accuracy = getattr(row, f"accuracy_{probe}")
            if not pd.isna(accuracy):
                key = row.dataset, row.autoencoder, row.latent_dim, row.seed, probe
                found[key] = np.arange(1000) < round(1000 * accuracy)
    return found


@pytest.fixture(autouse=True)
def few_features(request, monkeypatch):
    """Small dictionaries and a small network, which are learnt in no time."""
    if not request.node.get_closest_marker("pretrained"):
        for name, value in {"CENTRES": 20, "COMPONENTS": 100, "LEARNT_FROM": 200}.items():
            monkeypatch.setattr(features, name, value)
        for name, value in {"WIDTH": 32, "CONFIG": replace(ONCE, kernel_rate=0.05)}.items():
            monkeypatch.setattr(self_supervised, name, value)


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small arrays are slower on two threads, above all where the machine is busy."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
