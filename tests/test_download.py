"""The path from a mirror to arrays, against a server on this machine that behaves well or badly."""

import hashlib
import io
import pickle
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torchvision

from src import data_loader, download
from src.data_loader import load_dataset


@pytest.fixture(autouse=True)
def no_sample_of_cifar100(monkeypatch, tmp_path_factory):
    """What a user sees of a data set that has no sample; that of CIFAR-10 is there."""
    folder = tmp_path_factory.mktemp("sample")
    (folder / "CIFAR10.npz").symlink_to(data_loader.SAMPLE_DIR / "CIFAR10.npz")
    monkeypatch.setattr(data_loader, "SAMPLE_DIR", folder)


def official_archive(dataset):
    """A CIFAR-100 archive in the official layout, and its parts."""
    parts = {
        "meta": {"fine_label_names": list(dataset.classes), "coarse_label_names": list(dataset.superclasses)},
        "train": {
            "data": dataset.x_train.transpose(0, 3, 1, 2).reshape(-1, 3072),
            "fine_labels": dataset.y_train.tolist(),
        },
        "test": {
            "data": dataset.x_test.transpose(0, 3, 1, 2).reshape(-1, 3072),
            "fine_labels": dataset.y_test.tolist(),
        },
    }
    buffer, parts = io.BytesIO(), {name: pickle.dumps(content) for name, content in parts.items()}
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in parts.items():
            entry = tarfile.TarInfo(f"cifar-100-python/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue(), parts


def climbing_archive():
    """An archive whose only member would land outside the folder that it is unpacked in."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("../climbed")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"!"))
    return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        behaviour = self.path.split("/")[1]
        content = self.server.content
        if behaviour == "missing":
            return self.send_error(404)
        if behaviour == "silent":
            return self.server.ended.wait(30)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if behaviour == "climbing":
            return self.wfile.write(self.server.climbing.ljust(len(content), b"0"))
        if behaviour == "partial":
            return self.wfile.write(content[: len(content) // 2])
        if behaviour == "corrupt":
            return self.wfile.write(content[:-1] + bytes([content[-1] ^ 1]))
        if behaviour == "crawling":
            for start in range(0, len(content), 10):
                if self.server.ended.wait(0.05):
                    return None
                self.wfile.write(content[start : start + 10])
        return self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tiny100, monkeypatch):
    """A server of the archive; `server.mirrors("silent", "good")` makes it the mirrors, one a behaviour."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.content, httpd.parts = official_archive(tiny100)
    sums = {name: hashlib.md5(data).hexdigest() for name, data in httpd.parts.items()}
    httpd.ended, httpd.climbing = threading.Event(), climbing_archive()
    threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()

    def mirrors(*behaviours):
        urls = [f"http://127.0.0.1:{httpd.server_port}/{behaviour}/{{filename}}" for behaviour in behaviours]
        monkeypatch.setattr(download, "MIRRORS", urls)

    httpd.mirrors = mirrors
    monkeypatch.setattr(download, "TIMEOUT", 0.5)
    monkeypatch.setattr(download, "PATIENCE", 0.5)
    official = torchvision.datasets.CIFAR100
    monkeypatch.setattr(official, "tgz_md5", hashlib.md5(httpd.content).hexdigest())
    monkeypatch.setattr(official, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(official, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(official, "meta", official.meta | {"md5": sums["meta"]})
    yield httpd
    httpd.ended.set()
    httpd.shutdown()
    httpd.server_close()


def test_an_archive_becomes_arrays_once_and_leaves_nothing_else(server, tiny100, tmp_path):
    server.mirrors("good")
    dataset = load_dataset("CIFAR100", data_dir=tmp_path)
    for key in download.ARRAYS:
        assert np.array_equal(getattr(dataset, key), getattr(tiny100, key))
    assert [path.name for path in tmp_path.iterdir()] == ["CIFAR100"]
    assert (tmp_path / "CIFAR100" / "fingerprint.txt").read_text() == tiny100.fingerprint
    server.mirrors()
    assert len(load_dataset("CIFAR100", data_dir=tmp_path).x_train) == len(tiny100.x_train)


@pytest.mark.parametrize("place", [".", "CIFAR100"])
@pytest.mark.parametrize("form", ["archive", "folder", "loose files"])
def test_what_is_supplied_by_hand_needs_no_mirror_and_stays(server, tiny100, tmp_path, place, form):
    if form == "archive":
        supplied = {"cifar-100-python.tar.gz": server.content}
    else:
        folder = "cifar-100-python/" if form == "folder" else ""
        supplied = {f"{folder}{name}": data for name, data in server.parts.items()}
    for file, content in supplied.items():
        (tmp_path / place / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place / file).write_bytes(content)
    dataset = load_dataset("CIFAR100", data_dir=tmp_path, download=False)
    assert np.array_equal(dataset.x_test, tiny100.x_test)
    assert all((tmp_path / place / file).read_bytes() == content for file, content in supplied.items())
    assert not list(tmp_path.glob(".*"))


def test_damaged_arrays_can_be_removed_without_the_archive_beside_them(server, tiny100, tmp_path):
    folder = tmp_path / "CIFAR100"
    folder.mkdir()
    (folder / "cifar-100-python.tar.gz").write_bytes(server.content)
    (folder / "x_train.npy").write_bytes(b"half an array")
    with pytest.raises(ValueError, match=r"without \*.npy there, they are made again"):
        load_dataset("CIFAR100", data_dir=tmp_path)
    (folder / "x_train.npy").unlink()
    assert load_dataset("CIFAR100", data_dir=tmp_path, download=False).fingerprint == tiny100.fingerprint


def test_unpacked_files_that_are_not_the_official_ones_are_named_and_kept(server, tmp_path):
    (tmp_path / "CIFAR100").mkdir()
    (tmp_path / "CIFAR100" / "train").write_bytes(server.parts["train"])
    with pytest.raises(data_loader.DataUnavailableError, match="CIFAR100: Dataset not found or corr"):
        load_dataset("CIFAR100", data_dir=tmp_path, download=False)
    assert [path.name for path in tmp_path.rglob("*")] == ["CIFAR100", "train"]


@pytest.mark.parametrize("place", ["data/CIFAR100", "data"])
def test_a_folder_that_cannot_be_written_is_a_source_that_failed(server, tmp_path, monkeypatch, place):
    server.mirrors("good")
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("a file where a folder should be")
    with pytest.raises(data_loader.DataUnavailableError, match=r"CIFAR100 cannot be written \("):
        load_dataset("CIFAR100", data_dir=tmp_path / "data")
    with pytest.warns(UserWarning, match=r"SAMPLE.* cannot be written \("):
        monkeypatch.setattr(download, "_place", refuse)
        assert load_dataset("CIFAR10", data_dir=tmp_path / "elsewhere").is_sample


def refuse(*args):
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("bad", ["missing", "partial", "corrupt", "climbing", "silent", "crawling"])
def test_a_bad_mirror_is_left_for_the_next(server, tiny100, tmp_path, bad):
    server.mirrors(bad, "good")
    start = time.monotonic()
    assert load_dataset("CIFAR100", data_dir=tmp_path).fingerprint == tiny100.fingerprint
    assert time.monotonic() - start < 10  # a crawl to the end takes longer
    assert [path.name for path in tmp_path.iterdir()] == ["CIFAR100"]


def test_the_limits_of_time_are_such_that_nobody_waits_long():
    assert download.TIMEOUT + download.PATIENCE < 15 and download.SPEED >= 100_000


def test_a_refused_connection_is_left_for_the_next(server, tmp_path, monkeypatch):
    server.mirrors("good")
    monkeypatch.setattr(download, "MIRRORS", ["http://127.0.0.1:9/{filename}", *download.MIRRORS])
    assert not load_dataset("CIFAR100", data_dir=tmp_path).is_sample


def test_where_all_mirrors_fail_the_error_says_what_each_did_and_nothing_is_left(server, tmp_path):
    server.mirrors("missing", "corrupt", "partial", "silent", "crawling")
    with pytest.raises(data_loader.DataUnavailableError) as error:
        load_dataset("CIFAR100", data_dir=tmp_path)
    whole, half = (
        f"these {size:,} bytes are not the official file" for size in (len(server.content), len(server.content) // 2)
    )
    for part in ("404", whole, half, "timed out", "slower than 100 kB/s"):
        assert part in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_two_who_download_at_once_both_have_the_data(server, tiny100, tmp_path):
    server.mirrors("good")
    with ThreadPoolExecutor(4) as pool:
        datasets = list(pool.map(lambda _: load_dataset("CIFAR100", data_dir=tmp_path), range(4)))
    assert {dataset.fingerprint for dataset in datasets} == {tiny100.fingerprint}
    assert [path.name for path in tmp_path.iterdir()] == ["CIFAR100"]


def test_the_data_are_for_every_user_of_the_machine(server, tmp_path):
    server.mirrors("good")
    load_dataset("CIFAR100", data_dir=tmp_path)
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in [tmp_path / "CIFAR100", *tmp_path.glob("*/*")])


def test_nothing_climbs_out_of_an_archive(server, tmp_path):
    server.mirrors("climbing")
    with pytest.raises(data_loader.DataUnavailableError, match="not the official file"):
        load_dataset("CIFAR100", data_dir=tmp_path / "data")
    assert [path.name for path in tmp_path.rglob("*")] == ["data"]


def test_mirrors_of_ones_own_come_first(server, tmp_path, monkeypatch):
    server.mirrors("missing")
    monkeypatch.setenv("CIFAR_MIRRORS", f"http://127.0.0.1:{server.server_port}/good/{{filename}}")
    assert not load_dataset("CIFAR100", data_dir=tmp_path).is_sample
    assert download.urls("CIFAR100")[0].endswith("/good/cifar-100-python.tar.gz")


@pytest.mark.parametrize("mirror", ["http://[bad/{file}", "/a/plain/path", "http://127.0.0.1:{port}/missing/{file}"])
def test_a_mirror_that_is_none_is_one_more_failed_source(server, tmp_path, monkeypatch, mirror):
    server.mirrors("good")
    monkeypatch.setenv("CIFAR_MIRRORS", mirror.replace("{port}", str(server.server_port)))
    assert not load_dataset("CIFAR100", data_dir=tmp_path / "data").is_sample
    server.mirrors("missing")
    with pytest.raises(data_loader.DataUnavailableError, match="404"):
        load_dataset("CIFAR100", data_dir=tmp_path / "elsewhere")


def test_a_wrong_archive_supplied_by_hand_is_named_and_kept(server, tmp_path):
    server.mirrors()
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(b"not an archive")
    with pytest.raises(data_loader.DataUnavailableError, match="not the official file"):
        load_dataset("CIFAR100", data_dir=tmp_path)
    assert (tmp_path / "cifar-100-python.tar.gz").read_bytes() == b"not an archive"
