import errno
import os
import random
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from src import utils
from src.utils import (
    WriteError,
    atomic_path,
    check_labels,
    check_latents,
    load_safely,
    mixed_precision,
    one_thread,
    save_atomically,
    seeded,
    whole_number,
)


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "file.txt"
    with atomic_path(target) as path:
        path.write_text("first")
        assert not target.exists()
    assert target.read_text() == "first" and target.stat().st_mode & stat.S_IRGRP
    with pytest.raises(KeyboardInterrupt), atomic_path(target) as path:
        path.write_text("half of the sec")
        raise KeyboardInterrupt
    assert target.read_text() == "first"
    assert os.listdir(target.parent) == ["file.txt"]


def test_a_seed_decides_the_draws_and_leaves_all_generators_as_they_were():
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    draws = []
    for seed in (0, np.int64(0), 1):
        with seeded(seed):
            draws.append(torch.rand(1).item())
    assert draws[0] == draws[1] != draws[2]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]


@pytest.mark.parametrize("seed", [-1, 2**32, 0.0, "1", None, True])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(ValueError, match="seed must be a whole number"), seeded(seed):
        pass


def test_one_thread_is_given_back():
    torch.set_num_threads(2)
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


@pytest.mark.parametrize("native", [True, False])
def test_low_precision_is_for_hardware_that_has_it(monkeypatch, native):
    monkeypatch.setattr(utils, "has_bfloat16", lambda device: native)
    with mixed_precision(torch.device("cpu")):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if native else torch.float32)


def test_paths_do_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (utils.ROOT / "src" / "utils.py").exists() and utils.DATA_DIR == utils.ROOT / "data"


def test_whole_numbers_of_numpy_count_as_pythons():
    assert type(whole_number(np.int32(3), "n", 1)) is int
    for value in (0, 5, 2.0, np.float64(2), True, np.bool_(True), "2", None):
        with pytest.raises(ValueError, match="n must be a whole number from 1 to 4"):
            whole_number(value, "n", 1, 4)


def test_codes_and_labels_may_be_lists():
    z = check_latents([[1, 2.5]])
    assert z.dtype == np.float32 and z.tolist() == [[1, 2.5]]
    assert check_labels([0, 1], 2).dtype == np.int64


@pytest.mark.parametrize("refused", ["fsync", "chmod"])
@pytest.mark.parametrize("reason", [errno.EPERM, errno.ENOTSUP, errno.ENOSPC])
def test_file_systems_that_cannot_sync_or_change_rights_are_written_to(tmp_path, monkeypatch, refused, reason):
    def refuse(*args):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, refused, refuse)
    if reason == errno.ENOSPC:
        with pytest.raises(WriteError, match="No space left"), atomic_path(tmp_path / "file.txt") as path:
            path.write_text("whole")
    else:
        with atomic_path(tmp_path / "file.txt") as path:
            path.write_text("whole")
        assert (tmp_path / "file.txt").read_text() == "whole"


def test_a_file_that_cannot_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    path = tmp_path / "state.pt"
    save_atomically({"a": torch.ones(2)}, path)
    with monkeypatch.context() as patch, pytest.raises(PermissionError, match="not now"):
        patch.setattr(Path, "read_bytes", lambda self: (_ for _ in ()).throw(PermissionError(13, "not now")))
        load_safely(path)
    assert load_safely(path)["a"].tolist() == [1, 1]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.warns(UserWarning, match="damaged"):
        assert load_safely(path) is None
