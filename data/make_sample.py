"""Make the samples in data/sample from the full data sets, the same number of images of each class, without any loss.

usage: python data/make_sample.py      (with the full data sets in data, or a connection to fetch them; takes ten minutes)
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.data_loader import SAMPLE_DIR, load_dataset
from src.utils import atomic_path

SEED = 0
SIZES = {"CIFAR10": {"train": 5_000, "test": 1_000}, "CIFAR100": {"train": 3_000, "test": 1_000}}


def balanced_subset(labels, size, rng):
    """Indices of `size` images, the same number of every class, in random order."""
    classes = np.unique(labels)
    chosen = [rng.choice(np.flatnonzero(labels == c), size // len(classes), replace=False) for c in classes]
    return rng.permutation(np.concatenate(chosen))


def as_webp(images, effort=6):
    """uint8 images (N, 32, 32, 3) as the bytes of WebP files without loss, one for 500 images, each below the last."""
    strips = []
    for start in range(0, len(images), 500):
        file = io.BytesIO()
        strip = Image.fromarray(np.ascontiguousarray(images[start : start + 500]).reshape(-1, 32, 3))
        strip.save(file, "webp", lossless=True, quality=100, method=effort)
        strips.append(np.frombuffer(file.getvalue(), np.uint8))
    return strips


def save_sample(path, x_train, y_train, x_test, y_test, effort=6):
    """Write arrays as `load_dataset` reads them."""
    arrays = {"y_train": y_train, "y_test": y_test}
    for part, images in {"x_train": x_train, "x_test": x_test}.items():
        arrays |= {f"{part}_{number}": strip for number, strip in enumerate(as_webp(images, effort))}
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)


def main():
    for name, sizes in SIZES.items():
        dataset = load_dataset(name)
        if dataset.is_sample:
            sys.exit(f"the sample is made from the full data set, and {name} is not here")
        rng, arrays = np.random.default_rng(SEED), {}
        for part, size in sizes.items():
            images, labels = getattr(dataset, f"x_{part}"), getattr(dataset, f"y_{part}")
            chosen = balanced_subset(labels, size, rng)
            arrays |= {f"x_{part}": np.array(images[chosen]), f"y_{part}": np.array(labels[chosen])}
        save_sample(SAMPLE_DIR / f"{name}.npz", **arrays)


if __name__ == "__main__":
    main()
