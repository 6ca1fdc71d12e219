"""The models that come with the repository are those of the study, whole, and as good as it says."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from src import pretrained
from src.classifier import evaluate_classifier
from src.codec import compress, decompress
from src.data_loader import CLASSES, load_dataset
from src.encode import encode_images, reconstruct_images, reconstruction_errors
from src.pretrained import BOTH, SIZES, classify, load_pretrained
from src.report.style import label
from src.study.checkpoints import read_results
from src.study.experiment import KEY
from src.utils import ROOT, DamagedFileError

pytestmark = pytest.mark.pretrained
GREY = np.full((50, 60, 3), 128, np.uint8)
WITHOUT_STUDY = "import sys, src.pretrained; sys.exit(any(name.startswith('src.study') for name in sys.modules))"


ALL = [(*kept, size) for kept, sizes in SIZES.items() for size in sizes]


@pytest.mark.parametrize(("dataset", "name", "size"), ALL)
def test_each_is_a_model_of_the_study(dataset, name, size):
    model, results = load_pretrained(dataset, size, name), read_results().set_index(KEY)
    row = results.loc[tuple(model.row[key] for key in KEY)]
    assert (model.row["dataset"], model.row["autoencoder"], model.row["latent_dim"]) == (dataset, name, size)
    assert model.classes == CLASSES[dataset] and f"{name} of {size} numbers, trained on {dataset}" in repr(model)
    for column in ("accuracy_mlp", "test_mse", "parameters", "train_images"):
        assert row[column] == model.row[column]


@pytest.mark.parametrize(("dataset", "name", "size"), ALL)
def test_it_is_as_good_on_the_sample_as_the_study_says(dataset, name, size):
    model, sample = load_pretrained(dataset, size, name), load_dataset(dataset, sample=True)
    z = encode_images(model.autoencoder, sample.x_test)
    accuracy = evaluate_classifier(model.classifier, z, sample.y_test)["accuracy"]
    assert abs(accuracy - model.row["accuracy_mlp"]) < 0.04  # two and a half deviations of a thousand images
    error = reconstruction_errors(model.autoencoder, sample.x_test).mean()
    assert abs(error / model.row["test_mse"] - 1) < 0.06


def test_a_picture_is_classified_without_data_and_without_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = classify(GREY)
    assert table.shape == (1, 10) and np.isclose(table.sum(axis=1), 1).all()
    assert classify(GREY, load_pretrained("CIFAR100", 100)).shape == (1, 100)


def test_nothing_of_the_study_is_imported():
    subprocess.run([sys.executable, "-c", WITHOUT_STUDY], cwd=ROOT, check=True)


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_file_is_taken_with_its_largest_size(kind):
    table = classify(GREY, kind(pretrained.FOLDER / f"CIFAR100_{BOTH}.safetensors"))
    assert table.equals(classify(GREY, load_pretrained("CIFAR100", 100)))


def test_a_path_that_begins_at_home_is_found(tmp_path, monkeypatch):
    shutil.copy(pretrained.FOLDER / f"CIFAR10_{BOTH}.safetensors", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert classify(GREY, f"~/CIFAR10_{BOTH}.safetensors").equals(classify(GREY))


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DamagedFileError, match=r"no\.safetensors cannot be read .*; get it anew with the repository"):
        classify(GREY, tmp_path / "no.safetensors")


def test_the_file_of_another_model_is_found_out(tmp_path, monkeypatch):
    shutil.copy(pretrained.FOLDER / f"CIFAR10_{BOTH}.safetensors", tmp_path / f"CIFAR100_{BOTH}.safetensors")
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    with pytest.raises(DamagedFileError, match=r"CIFAR100_both_50\.safetensors holds other models"):
        load_pretrained("CIFAR100", 100)


def test_its_codes_are_kept_in_few_bytes(sample):
    pytest.importorskip("constriction")
    model = load_pretrained("CIFAR10", 100)
    data = compress(sample.x_test, model.codec)
    assert len(data) < 50 * len(sample.x_test)
    kept, expected = decompress(data, model.codec), reconstruct_images(model.autoencoder, sample.x_test)
    images = sample.x_test / np.float32(255)
    assert np.square(kept - images).mean() < 1.05 * np.square(expected - images).mean()


def test_they_are_small():
    files = sorted(pretrained.FOLDER.glob("*.safetensors"))
    assert [path.stem for path in files] == sorted(f"{dataset}_{name}" for dataset, name in SIZES)
    assert sum(path.stat().st_size for path in files) < 35e6


def test_a_size_may_be_any_kind_of_number():
    assert load_pretrained("CIFAR10", 10.0).row == load_pretrained("CIFAR10", 10).row


@pytest.mark.parametrize(
    ("dataset", "size", "name"),
    [("CIFAR10", 11, BOTH), ("MNIST", 10, BOTH), ("CIFAR10", "10", BOTH), (None, 10, BOTH), ("CIFAR100", 10, "conv")],
)
def test_another_is_refused(dataset, size, name):
    with pytest.raises(ValueError, match="but both_50 of CIFAR10 with 10, 20, 50, 100 numbers; conv of CIFAR10"):
        load_pretrained(dataset, size, name)


@pytest.mark.parametrize("where", [0, 100, 5_000, -1])
def test_a_damaged_file_is_found_out(where, tmp_path, monkeypatch):
    contents = bytearray((pretrained.FOLDER / f"CIFAR10_{BOTH}.safetensors").read_bytes())
    contents[where] ^= 4
    (tmp_path / f"CIFAR10_{BOTH}.safetensors").write_bytes(contents)
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    with pytest.raises(DamagedFileError, match="get it anew with the repository"):
        load_pretrained("CIFAR10", 10)
    with pytest.raises(DamagedFileError, match=r"CIFAR100_both_50\.safetensors cannot be read"):
        load_pretrained("CIFAR100", 100)


def test_a_row_that_is_not_as_written_is_found_out(tmp_path, monkeypatch):
    contents = (pretrained.FOLDER / f"CIFAR10_{BOTH}.safetensors").read_bytes()
    accuracy = json.dumps(load_pretrained("CIFAR10", 10).row["accuracy_mlp"]).encode()
    assert accuracy in contents
    other = accuracy[:-1] + (b"1" if accuracy[-1:] != b"1" else b"2")
    (tmp_path / f"CIFAR10_{BOTH}.safetensors").write_bytes(contents.replace(accuracy, other))
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    with pytest.raises(DamagedFileError, match="is not as it was written"):
        load_pretrained("CIFAR10", 10)


def test_the_model_card_says_what_the_rows_say():
    card = (pretrained.FOLDER / "README.md").read_text(encoding="utf-8")
    for dataset, name, size in ALL:
        row = load_pretrained(dataset, size, name).row
        probes = " | ".join(f"{100 * row[f'accuracy_{probe}']:.1f} %" for probe in ("mlp", "linear"))
        assert f"| {dataset} | {label(name)} | {size} | {1000 * row['test_mse']:.1f} | {probes} |" in card
