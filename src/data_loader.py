"""CIFAR-10 and CIFAR-100 as arrays: where they are found, what their classes are called, how they are split."""

import io
import json
import re
import shutil
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from src.download import ARRAYS, CLASSES, FINGERPRINT, SUPERCLASS_OF, SUPERCLASSES, place_arrays, staged, write_arrays
from src.utils import DATA_DIR, WriteError, check_images, check_labels, fingerprint

SAMPLE_DIR = DATA_DIR / "sample"
CLASSES_FILE = "classes.json"  # of a data set of one's own
OWN_NAME = re.compile(r"[^\W\d_][\w-]*")
NO_NAMES = "cifar10 cifar100 sample na nan null none true false inf infinity".split()  # taken, or no words to pandas
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
        object.__setattr__(self, "classes", tuple(self.classes))  # as they are when read back
        for part in ("train", "test"):
            images, labels = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            check_images(images, f"{self.name}: x_{part}")
            object.__setattr__(self, f"y_{part}", check_labels(labels, len(self.classes), f"{self.name}: y_{part}"))
            if len(labels) != len(images):
                raise ValueError(f"{self.name}: y_{part} has {len(labels)} labels for {len(images)} images")
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
        return fingerprint(*(getattr(self, key) for key in ARRAYS))

    def by_superclass(self, labels):
        """Labels and their names, of superclasses where the data set has them and of classes where not."""
        if not self.superclasses:
            return labels, self.classes
        return np.array(self.superclass_of)[labels], self.superclasses


def class_names(name, data_dir=DATA_DIR):
    """The names of a data set's classes in the order of their labels; ValueError where there is no data set of that name."""
    if name in CLASSES:
        return CLASSES[name]
    data_dir = Path(data_dir).expanduser()
    path = data_dir / str(name) / CLASSES_FILE
    if not _is_name(str(name)) or not path.exists():
        own = sorted(path.parent.name for path in data_dir.glob(f"*/{CLASSES_FILE}"))
        known = ", ".join([*CLASSES, *filter(_is_name, own)])
        raise ValueError(f"unknown data set {name!r}: choose one of {known}, or make it known with save_dataset")
    return tuple(json.loads(path.read_text(encoding="utf-8")))


def _is_name(name):
    return name.lower() not in NO_NAMES and bool(OWN_NAME.fullmatch(name))


def save_dataset(dataset, data_dir=DATA_DIR, overwrite=False):
    """Keep an ImageDataset of one's own in `data_dir/NAME`, where `load_dataset` and a sweep's workers find it by its name.

    All or nothing; with `overwrite` it takes the place of another one of one's own. Raises ValueError where the name is taken or
    cannot be one: it must work as a folder, and must not read as a number or a missing value in a CSV file. Raises WriteError where the
    system refuses to write.
    """
    if not _is_name(dataset.name):
        but = f"but none of {', '.join(NO_NAMES)}"
        raise ValueError(f"{dataset.name!r} cannot be its name; take a letter, then letters, digits, - and _, {but}")
    if dataset.superclasses:
        raise ValueError(f"{dataset.name} has superclasses, which are not kept; give an ImageDataset without them")
    folder = Path(data_dir).expanduser() / dataset.name
    if folder.exists():
        is_own = (folder / CLASSES_FILE).exists()
        if is_own and not overwrite:
            there = load_dataset(dataset.name, data_dir)
            if (there.fingerprint, there.classes) == (dataset.fingerprint, dataset.classes):
                return
        if not (is_own and overwrite):
            how = "give the data set another name, or overwrite=True where it is a data set of your own"
            raise ValueError(f"{folder} has something else; {how}")
    before = folder.with_name(f".{folder.name}-before")  # what is there now, until the new is whole
    try:
        with staged(folder) as staging:
            write_arrays(staging, {key: getattr(dataset, key) for key in ARRAYS})
            (staging / CLASSES_FILE).write_text(json.dumps(dataset.classes), encoding="utf-8")
            if folder.exists():
                shutil.rmtree(before, ignore_errors=True)
                folder.rename(before)
    except OSError as error:
        if before.exists() and not folder.exists():
            before.rename(folder)
        raise WriteError(f"{folder} could not be written ({error}); nothing has changed") from error
    shutil.rmtree(before, ignore_errors=True)


def load_dataset(name, data_dir=DATA_DIR, download=True, sample=False):
    """Load "CIFAR10", "CIFAR100" or a data set that `save_dataset` has kept, from the first source that has it, and say in `.source` which that was.

    In order: the arrays in `data_dir/NAME`; the official archive or its unpacked files in `data_dir`, or, with `download`,
    the archive from the first mirror that serves it whole (both kept as arrays in `data_dir/NAME`); the sample that comes with
    the repository, with a warning. `sample=True` goes straight to the sample. Raises ValueError for an unknown name and for
    arrays that are not as they should be, DataUnavailableError where no source has the data.
    """
    class_names(name, data_dir)  # raises where it is not known
    if sample:
        return _load_sample(name)
    folder = Path(data_dir).expanduser() / name
    tried = place_arrays(name, folder, download) if name in CLASSES else []
    if not tried:
        return _load_folder(name, folder)
    if (SAMPLE_DIR / f"{name}.npz").exists():
        using = f"{name}: using the embedded SAMPLE, not the full data set"
        warnings.warn(f"{using}. Tried: {'; '.join(tried)}", stacklevel=2)
        return _load_sample(name)
    raise DataUnavailableError(f"{name} is not available, nor a sample of it. Tried: {'; '.join(tried)}")


def load_datasets(names, download=True, sample=False):
    """Those of the data sets that can be had, by name, and a short note that says what is missing, empty where nothing is.

    Where a complete data set can be had, samples are left out. Raises DataUnavailableError where there is none at all.
    """
    datasets, notes = {}, []
    for name in names:
        try:
            with warnings.catch_warnings(action="ignore"):  # that it is a sample, which the note says
                datasets[name] = load_dataset(name, download=download, sample=sample)
        except DataUnavailableError as error:
            notes.append(f"{name} is left out. {error}")
    if not datasets:
        raise DataUnavailableError(" ".join(notes) or "no data set was asked for")
    complete = {name: dataset for name, dataset in datasets.items() if not dataset.is_sample}
    if not sample:
        of_samples = (
            "is left out: only its embedded SAMPLE is there"
            if complete
            else "is the embedded SAMPLE, not the full data set"
        )
        notes += [f"{name} {of_samples}." for name, dataset in datasets.items() if dataset.is_sample]
    return complete or datasets, " ".join(note.partition(" Tried: ")[0] for note in notes)


def _load_folder(name, folder):
    """The placed arrays, memory-mapped, so that parallel workers share their pages."""
    arrays = {}
    for key in ARRAYS:
        path = folder / f"{key}.npy"
        try:
            # copy-on-write: torch warns about read-only memory, and nothing can reach the file
            arrays[key] = np.load(path, mmap_mode="c", allow_pickle=False)
        except Exception as error:  # whatever a damaged file leads to
            raise ValueError(f"{path} cannot be read ({error}); {_how_to_mend(name)}") from error
    classes = class_names(name, folder.parent)
    dataset = _build(name, arrays, classes=classes, source=f"arrays in {folder.parent.name}/{name}")
    written = folder / FINGERPRINT
    if written.exists() and written.read_text(errors="replace") != dataset.fingerprint:
        raise ValueError(f"arrays in {folder} are not as they were written; {_how_to_mend(name)}")
    return dataset


def _how_to_mend(name):
    return "without *.npy there, they are made again" if name in CLASSES else "save_dataset writes them anew elsewhere"


def _load_sample(name):
    path = SAMPLE_DIR / f"{name}.npz"
    if not path.exists():
        samples = ", ".join(sorted(path.stem for path in SAMPLE_DIR.glob("*.npz"))) or "none"
        raise DataUnavailableError(f"{name} has no embedded sample; the samples are {samples}")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: _from_webp(file, key) if key.startswith("x_") else file[key] for key in ARRAYS}
    except Exception as error:  # whatever a damaged file leads to
        raise ValueError(f"the embedded sample {path} is damaged ({error}); get it anew with the repository") from error
    return _build(name, arrays, classes=CLASSES[name], is_sample=True, source=f"embedded sample data/sample/{name}.npz")


def _from_webp(file, part):
    """The images of a sample, uint8 (N, 32, 32, 3), of which strips one below the other are WebP files without loss."""
    count = sum(key.startswith(part) for key in file)
    strips = [Image.open(io.BytesIO(file[f"{part}_{number}"])) for number in range(count)]
    return np.concatenate([np.asarray(strip.convert("RGB")).reshape(-1, 32, 32, 3) for strip in strips])


def _build(name, arrays, **what_it_is):
    names = {"superclasses": SUPERCLASSES.get(name, ()), "superclass_of": SUPERCLASS_OF.get(name, ())}
    return ImageDataset(name, **arrays, **names, **what_it_is)
