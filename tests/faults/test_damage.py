"""Every kind of file that the project writes or relies on, truncated and bit-flipped: never a wrong number."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ONCE, QUICK

from src.autoencoder import build_autoencoder
from src.data_loader import DataUnavailableError, load_dataset
from src.download import ARRAYS, FINGERPRINT
from src.study.checkpoints import DamagedFileError, checkpoint_path, load_checkpoint, read_results, results_path
from src.study.experiment import KEY, Experiment
from src.study.sweep import run_sweep
from src.train import train_autoencoder
from src.utils import DATA_DIR, ROOT, WriteError, load_safely, save_atomically

PLACES = 20
EXPERIMENT = Experiment("CIFAR10", "conv", 3)


def damaged(content, seed=0):
    """The content cut off at PLACES places, and with one bit turned over at PLACES others."""
    rng = np.random.default_rng(seed)
    for position in rng.integers(0, len(content), PLACES):
        yield content[:position]
    for position in rng.integers(0, len(content), PLACES):
        spoilt = bytearray(content)
        spoilt[position] ^= 1 << int(rng.integers(8))
        yield bytes(spoilt)


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.filterwarnings("ignore:.*damaged")
def test_a_checkpoint_is_whole_or_refused(study):
    run_sweep([EXPERIMENT], 1, settings=QUICK)
    path, whole, refused = checkpoint_path(EXPERIMENT), load_checkpoint(EXPERIMENT), 0
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        try:
            assert same(load_checkpoint(EXPERIMENT), whole)
        except DamagedFileError:
            refused += 1
    print(f"checkpoint: {refused} of {2 * PLACES} damaged files refused, the others unharmed")
    assert refused >= PLACES


@pytest.mark.filterwarnings("ignore:.*damaged")
def test_the_state_of_training_is_whole_or_refused(tmp_path, tiny):
    path = tmp_path / "state.pt"
    whole = build_autoencoder("conv", 3)
    history = train_autoencoder(whole, tiny, ONCE, progress=False, checkpoint=path)
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        try:
            model = build_autoencoder("conv", 3)
            assert train_autoencoder(model, tiny, ONCE, progress=False, checkpoint=path) == history
            assert same(model.state_dict(), whole.state_dict())
        except ValueError as error:
            assert "state.pt is damaged" in str(error)


@pytest.mark.filterwarnings("ignore:.*it is kept as")
def test_a_sweep_puts_its_rows_right_from_the_checkpoints_whatever_the_table_says(study):
    before, path = run_sweep([EXPERIMENT], 1, settings=QUICK), results_path()
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        pd.testing.assert_frame_equal(run_sweep([EXPERIMENT], 1, settings=QUICK), before)
        table = read_results()
        (row,) = table[(table[KEY] == list(EXPERIMENT.key.values())).all(axis=1)].to_dict("records")
        assert all(row[column] == value for column, value in before.iloc[0].items() if pd.notna(value))


@pytest.mark.parametrize("file", [*(f"{key}.npy" for key in ARRAYS), FINGERPRINT])
def test_the_arrays_made_of_an_archive_are_whole_or_refused(tmp_path, file, tiny):
    folder = tmp_path / "CIFAR10"
    folder.mkdir()
    for key in ARRAYS:
        np.save(folder / f"{key}.npy", getattr(tiny, key))
    (folder / FINGERPRINT).write_text(tiny.fingerprint)
    for content in damaged((folder / file).read_bytes()):
        (folder / file).write_bytes(content)
        try:
            assert load_dataset("CIFAR10", data_dir=tmp_path, download=False).fingerprint == tiny.fingerprint
        except ValueError as error:
            assert "CIFAR10" in str(error)


def test_the_sample_is_whole_or_refused(tmp_path, monkeypatch, sample):
    content = (DATA_DIR / "sample" / "CIFAR10.npz").read_bytes()
    monkeypatch.setattr("src.data_loader.SAMPLE_DIR", tmp_path)
    for spoilt in damaged(content):
        (tmp_path / "CIFAR10.npz").write_bytes(spoilt)
        try:
            assert load_dataset("CIFAR10", sample=True).fingerprint == sample.fingerprint
        except (ValueError, DataUnavailableError) as error:
            assert "sample" in str(error)


def test_a_full_disk_ends_in_one_error_and_loses_nothing(tmp_path):
    """A limit on the size of files stands for the full disk: the system refuses the same call in the same way."""
    script = f"""
import resource, sys, torch
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from src.utils import WriteError, save_atomically
path = Path({str(tmp_path)!r}) / "file.pt"
save_atomically({{"weight": torch.ones(10)}}, path)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    save_atomically({{"weight": torch.ones(100_000)}}, path)
except WriteError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "file.pt could not be written" in done.stdout and "File too large" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["file.pt"]
    assert torch.equal(load_safely(tmp_path / "file.pt")["weight"], torch.ones(10))


def test_a_folder_that_cannot_be_written_ends_in_one_error(tmp_path):
    (tmp_path / "models").write_text("a file where a folder should be")
    with pytest.raises(WriteError, match="could not be written"):
        save_atomically({}, tmp_path / "models" / "file.pt")
