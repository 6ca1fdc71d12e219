"""CIFAR-10 and CIFAR-100 as arrays: where they are found, what their classes are called, how they are split."""

import hashlib
import shutil
import tempfile
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from src.cifar import CLASSES, SUPERCLASS_OF, SUPERCLASSES
from src.download import ARCHIVES, DownloadError, check_archive, download_archive
from src.utils import DATA_DIR

SAMPLE_DIR = DATA_DIR / "sample"
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
FINGERPRINT = "fingerprint.txt"  # beside arrays that were made from an archive: what they are checked against
VALIDATION_SHARE = 10  # the last 1/10 of the training images: 5,000 of CIFAR's 50,000


class DataUnavailableError(RuntimeError):
    """No source had the data set; the message names each that was tried and how to supply the data by hand."""


@dataclass(frozen=True)
class ImageDataset:
    """A labelled image data set in memory or memory-mapped.

    Images are uint8 (N, 32, 32, 3) in [0, 255], labels int64 (N,) in [0, number of classes).
    `superclasses` is empty where a data set has none; `superclass_of` gives the superclass of every class.
    `source` says where the arrays came from. A ValueError says which array is not as described here.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]
    superclasses: tuple[str, ...] = ()
    superclass_of: tuple[int, ...] = ()
    is_sample: bool = False
    source: str = "arrays in memory"

    def __post_init__(self):
        for part in ("train", "test"):
            images, labels = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            check_images(images, f"{self.name}: x_{part}")
            check_labels(labels, len(self.classes), len(images), f"{self.name}: y_{part}")
        if len(self.x_train) < 2:
            raise ValueError(f"{self.name}: x_train holds one image; at least two are needed, one for validation")

    def split(self, part):
        """Images and labels of "train", "validation" (the last tenth of the training images) or "test"."""
        cut = len(self.x_train) - max(1, len(self.x_train) // VALIDATION_SHARE)
        parts = {
            "train": (self.x_train[:cut], self.y_train[:cut]),
            "validation": (self.x_train[cut:], self.y_train[cut:]),
            "test": (self.x_test, self.y_test),
        }
        if part not in parts:
            raise ValueError(f"unknown split {part!r}: choose one of {', '.join(parts)}")
        return parts[part]

    @cached_property
    def fingerprint(self):
        """A checksum of images and labels: the same for the same data, wherever they came from."""
        digest = hashlib.sha256()
        for key in ARRAYS:
            digest.update(np.ascontiguousarray(getattr(self, key)))
        return digest.hexdigest()[:16]

    def by_superclass(self, labels):
        """Labels and their names, of superclasses where the data set has them and of classes where not."""
        if not self.superclasses:
            return labels, self.classes
        return np.array(self.superclass_of)[labels], self.superclasses


def as_bytes(images):
    """Images as they are stored, uint8: floats in [0, 1] rounded to 256 levels, all else as it is; else a ValueError."""
    if images.dtype.kind != "f" or not images.size:
        return images
    if not (images.min() >= 0 and images.max() <= 1):  # written so that NaN fails too
        raise ValueError(f"float images must lie in [0, 1], not in [{images.min():.4g}, {images.max():.4g}]")
    return np.rint(255 * images).astype(np.uint8)


def check_images(images, what="images"):
    """Raise a ValueError unless `images` is a uint8 array (N, 32, 32, 3) with N > 0."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (32, 32, 3):
        raise ValueError(f"{what} must be a uint8 array (N, 32, 32, 3), not {describe(images)}")
    if len(images) == 0:
        raise ValueError(f"{what} holds no image; at least one is needed")


def check_labels(labels, num_classes, length, what="labels"):
    """Raise a ValueError unless `labels` is an integer array (length,) with values in [0, num_classes)."""
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise ValueError(f"{what} must be an integer array (N,), not {describe(labels)}")
    if len(labels) != length:
        raise ValueError(f"{what} has {len(labels)} labels for {length} images; there must be one an image")
    if length and not (0 <= labels.min() and labels.max() < num_classes):
        raise ValueError(f"{what} spans {labels.min()} to {labels.max()}; labels must lie in 0 to {num_classes - 1}")


def describe(array):
    """A short name for what was given in place of the array that was wanted."""
    return f"{array.dtype} {tuple(array.shape)}" if hasattr(array, "dtype") else type(array).__name__


def load_dataset(name, data_dir=DATA_DIR, download=True, sample=False):
    """Load "CIFAR10" or "CIFAR100" from the first source that has it, and say in `.source` which that was.

    In order: the arrays in `data_dir/NAME`; the official archive in `data_dir`, or, with `download`, from the first
    mirror that serves it whole (kept as arrays in `data_dir/NAME`); the sample that comes with the repository, with
    a warning. `sample=True` goes straight to the sample. Raises ValueError for an unknown name and for arrays that
    are not as they should be, DataUnavailableError where no source has the data.
    """
    if name not in CLASSES:
        raise ValueError(f"unknown data set {name!r}: choose one of {', '.join(CLASSES)}")
    folder = Path(data_dir) / name
    tried = []
    if sample:
        return _load_sample(name)
    if not folder.exists():
        tried = _place_archive(name, folder, download)
    if folder.exists():
        return _load_folder(name, folder)
    if (SAMPLE_DIR / f"{name}.npz").exists():
        warnings.warn(f"{name}: using the embedded SAMPLE, not the full data set: {'; '.join(tried)}", stacklevel=2)
        return _load_sample(name)
    raise DataUnavailableError(_how_to_supply(name, folder, tried))


def load_datasets(names, sample=False):
    """Those of the data sets that can be had, as a list; where a full one can, samples are left out.

    A warning names each that is left out, and why.
    """
    datasets = []
    for name in names:
        try:
            datasets.append(load_dataset(name, sample=sample))
        except DataUnavailableError as error:
            warnings.warn(f"{name} is left out. {error}", stacklevel=2)
    full = [dataset for dataset in datasets if not dataset.is_sample]
    return full or datasets


def _build(name, arrays, **what_it_is):
    names = {"classes": CLASSES[name], "superclasses": SUPERCLASSES[name], "superclass_of": SUPERCLASS_OF[name]}
    return ImageDataset(name, **arrays, **names, **what_it_is)


def _load_folder(name, folder):
    """The placed arrays, memory-mapped, so that parallel workers share their pages."""
    arrays = {}
    for key in ARRAYS:
        path = folder / f"{key}.npy"
        try:
            # copy-on-write: torch warns about read-only memory, and nothing can reach the file
            arrays[key] = np.load(path, mmap_mode="c", allow_pickle=False)
        except Exception as error:  # whatever the reader makes of a damaged file
            raise ValueError(f"{path} cannot be read ({error}); delete {folder} to have it made again") from error
    dataset = _build(name, arrays, source=f"arrays in {folder.parent.name}/{name}")
    written = folder / FINGERPRINT
    if written.exists() and written.read_text(errors="replace") != dataset.fingerprint:
        raise ValueError(f"the arrays in {folder} are not as they were written; delete it to have it made again")
    return dataset


def _load_sample(name):
    path = SAMPLE_DIR / f"{name}.npz"
    if not path.exists():
        raise DataUnavailableError(f"{name} has no embedded sample; the samples are {_samples()}")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in ARRAYS}
    except Exception as error:  # whatever the readers make of a damaged file
        raise ValueError(f"the embedded sample {path} is damaged ({error}); get it anew with the repository") from error
    return _build(name, arrays, is_sample=True, source=f"embedded sample data/sample/{name}.npz")


def _samples():
    return ", ".join(sorted(path.stem for path in SAMPLE_DIR.glob("*.npz"))) or "none"


def _place_archive(name, folder, download):
    """Turn the official archive into arrays in `folder`; returns what was tried in vain."""
    tried = [f"no arrays in {folder}"]
    archive = ARCHIVES[name]
    by_hand = folder.parent / archive.filename
    if check_archive(by_hand, archive):
        _convert(by_hand, archive, folder)
        return []
    tried.append(f"{by_hand} is {'not the official file (wrong MD5)' if by_hand.exists() else 'not there'}")
    if not download:
        return [*tried, "downloading was not asked for"]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-download-") as temporary:
            _convert(download_archive(archive, Path(temporary)), archive, folder)
    except (DownloadError, OSError) as error:  # the latter where the disk is full or the folder cannot be written
        return [*tried, str(error)]
    return []


def _convert(path, archive, folder):
    """Read the archive through torchvision and put its arrays in `folder`, all of them or none."""
    from torchvision import datasets  # here, because it takes a second and 80 MB, and no worker needs it

    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        staging = Path(temporary) / folder.name
        staging.mkdir()
        shutil.copyfile(path, Path(temporary) / archive.filename)  # torchvision takes an archive that is there
        reader = getattr(datasets, folder.name)
        for part in ("train", "test"):
            dataset = reader(temporary, train=part == "train", download=True)
            np.save(staging / f"x_{part}.npy", np.ascontiguousarray(dataset.data))
            np.save(staging / f"y_{part}.npy", np.array(dataset.targets, dtype=np.int64))
        (staging / FINGERPRINT).write_text(_load_folder(folder.name, staging).fingerprint)
        try:
            staging.rename(folder)
        except OSError:
            if not folder.exists():  # where it exists, another process was faster with the same data
                raise


def _how_to_supply(name, folder, tried):
    archive = ARCHIVES[name]
    return (
        f"{name} is not available. Tried: {'; '.join(tried)}; no embedded sample (there is: {_samples()}). "
        f"To supply it by hand, download {archive.filename} (MD5 {archive.md5}) from any of "
        f"{', '.join(archive.urls)} and put it into {folder.parent}, or put the arrays "
        f"{', '.join(key + '.npy' for key in ARRAYS)} into {folder}."
    )
