"""Make data/sample/CIFAR10.npz from the full CIFAR-10: 5,000 training and 1,000 test images, as many of each class.

usage: python data/make_sample.py      (with the full data set in data/CIFAR10, or a connection to fetch it)
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.data_loader import SAMPLE_DIR, load_dataset
from src.utils import atomic_path

SEED = 0
SIZES = {"train": 5_000, "test": 1_000}


def balanced_subset(labels, size, rng):
    """Indices of `size` images, the same number of every class, in random order."""
    classes = np.unique(labels)
    chosen = [rng.choice(np.flatnonzero(labels == c), size // len(classes), replace=False) for c in classes]
    return rng.permutation(np.concatenate(chosen))


def main():
    dataset = load_dataset("CIFAR10")
    if dataset.is_sample:
        sys.exit("the sample is made from the full data set, which is not here")
    rng = np.random.default_rng(SEED)
    arrays = {}
    for part, size in SIZES.items():
        images, labels = getattr(dataset, f"x_{part}"), getattr(dataset, f"y_{part}")
        chosen = balanced_subset(labels, size, rng)
        arrays |= {f"x_{part}": np.array(images[chosen]), f"y_{part}": np.array(labels[chosen])}
    with atomic_path(SAMPLE_DIR / "CIFAR10.npz") as path:
        np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    main()
