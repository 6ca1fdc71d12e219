import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch

from src.cifar import CLASSES, SUPERCLASS_OF, SUPERCLASSES
from src.data_loader import ImageDataset, load_dataset
from src.outcomes import COLUMNS
from src.utils import DATA_DIR

matplotlib.use("Agg")


def random_dataset(name="CIFAR10", train=200, test=100, seed=0):
    """A data set of noise with a little of its class in it, in the form of the real one."""
    rng = np.random.default_rng(seed)
    arrays = []
    for size in (train, test):
        labels = rng.permutation(np.arange(size) % len(CLASSES[name]))
        tint = (labels[:, None, None, None] * 199 / len(CLASSES[name])).astype(np.uint8)
        arrays += [rng.integers(0, 50, (size, 32, 32, 3), dtype=np.uint8) + tint, labels]
    return ImageDataset(name, *arrays, CLASSES[name], SUPERCLASSES[name], SUPERCLASS_OF[name])


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
def results():
    """A table of results as a study leaves it, with numbers that can be checked by hand."""
    rows = []
    families = {"conv": (0.9, 10.0), "vae": (0.95, 15.0), "denoising": (0.92, 12.0), "pca": (1.0, 1.0)}
    families |= {"random": (None, 0.1), "supervised": (None, 20.0)}
    for dataset, worse in (("CIFAR10", 0.0), ("CIFAR100", 0.3)):
        for name, (share, seconds) in families.items():
            for position, size in enumerate((10, 20, 50, 100)):
                row = {"dataset": dataset, "autoencoder": name, "latent_dim": size, "seed": 0, "is_sample": False}
                row |= {"train_images": 45_000, "epochs": 6, "parameters": 1000}
                if share:
                    row |= {"val_mse": 0.2 * share / size, "test_mse": 0.2 * share / size}
                row |= {"accuracy_linear": 0.35, "accuracy_knn": 0.37, "accuracy_mlp": 0.4 + 0.05 * position - worse}
                row |= {"autoencoder_seconds": seconds, "classifier_seconds": 5.0}
                if name in ("conv", "pca"):
                    row |= {"accuracy_conv": row["accuracy_mlp"] + (0.05 if name == "conv" else 0.02)}
                    row |= {"accuracy_both": row["accuracy_mlp"] + 0.06, "conv_reader_seconds": 20.0}
                if name == "vae":
                    row |= {"kl_nats": 2.0 * size, "active_units": size, "bits_per_dim": 7 - size / 100}
                rows.append(row)
        for name, size in (("pixels", 3072), ("spatial", 128), ("spatial_finetuned", 128)):
            row = {"dataset": dataset, "autoencoder": name, "latent_dim": size, "seed": 0, "is_sample": False}
            row |= {"accuracy_linear": 0.41 - worse, "accuracy_mlp": 0.5 - worse, "accuracy_conv": 0.8 - worse}
            rows.append(row | {"test_mse": 0.02, "autoencoder_seconds": 0.0, "classifier_seconds": 3.0})
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small tensors are slower on two threads, above all where the machine is busy."""
    torch.set_num_threads(1)
