"""The models that come with the repository are those of the study, whole, and as good as it says."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from src import pretrained
from src.classifier import evaluate_classifier
from src.codec import compress, decompress
from src.data_loader import CLASSES
from src.encode import encode_images, reconstruct_images, reconstruction_errors
from src.pretrained import LATENT_DIMS, classify, load_pretrained
from src.study.checkpoints import read_results
from src.study.experiment import KEY
from src.utils import ROOT, DamagedFileError

pytestmark = pytest.mark.pretrained
GREY = np.full((50, 60, 3), 128, np.uint8)
WITHOUT_STUDY = "import sys, src.pretrained; sys.exit(any(name.startswith('src.study') for name in sys.modules))"


@pytest.mark.parametrize("dataset", CLASSES)
@pytest.mark.parametrize("size", LATENT_DIMS)
def test_each_is_a_model_of_the_study(dataset, size):
    model, results = load_pretrained(dataset, size), read_results().set_index(KEY)
    row = results.loc[tuple(model.row[key] for key in KEY)]
    assert (model.row["dataset"], model.row["latent_dim"], model.classes) == (dataset, size, CLASSES[dataset])
    for column in ("accuracy_mlp", "test_mse", "parameters", "train_images"):
        assert row[column] == model.row[column]


@pytest.mark.parametrize("size", LATENT_DIMS)
def test_it_is_as_good_on_the_sample_as_the_study_says(size, sample):
    model = load_pretrained("CIFAR10", size)
    z = encode_images(model.autoencoder, sample.x_test)
    accuracy = evaluate_classifier(model.classifier, z, sample.y_test)["accuracy"]
    assert abs(accuracy - model.row["accuracy_mlp"]) < 0.03  # two deviations of a thousand images
    error = reconstruction_errors(model.autoencoder, sample.x_test).mean()
    assert abs(error / model.row["test_mse"] - 1) < 0.05


def test_a_picture_is_classified_without_data_and_without_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = classify(GREY)
    assert table.shape == (1, 10) and np.isclose(table.sum(axis=1), 1).all()
    assert classify(GREY, load_pretrained("CIFAR100", 20)).shape == (1, 100)


def test_nothing_of_the_study_is_imported():
    subprocess.run([sys.executable, "-c", WITHOUT_STUDY], cwd=ROOT, check=True)


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_file_is_taken_with_its_largest_size(kind):
    table = classify(GREY, kind(pretrained.FOLDER / "CIFAR100.safetensors"))
    assert table.equals(classify(GREY, load_pretrained("CIFAR100", 100)))


def test_a_path_that_begins_at_home_is_found(tmp_path, monkeypatch):
    shutil.copy(pretrained.FOLDER / "CIFAR10.safetensors", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert classify(GREY, "~/CIFAR10.safetensors").equals(classify(GREY))


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DamagedFileError, match=r"no\.safetensors cannot be read .*; get it anew with the repository"):
        classify(GREY, tmp_path / "no.safetensors")


def test_the_file_of_another_data_set_is_found_out(tmp_path, monkeypatch):
    shutil.copy(pretrained.FOLDER / "CIFAR10.safetensors", tmp_path / "CIFAR100.safetensors")
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    with pytest.raises(DamagedFileError, match=r"CIFAR100\.safetensors holds models of CIFAR10"):
        load_pretrained("CIFAR100", 10)


def test_its_codes_are_kept_in_few_bytes(sample):
    pytest.importorskip("constriction")
    model = load_pretrained("CIFAR10", 100)
    data = compress(sample.x_test, model.codec)
    assert len(data) < 50 * len(sample.x_test)
    kept, expected = decompress(data, model.codec), reconstruct_images(model.autoencoder, sample.x_test)
    images = sample.x_test / np.float32(255)
    assert np.square(kept - images).mean() < 1.05 * np.square(expected - images).mean()


def test_they_are_small():
    files = list(pretrained.FOLDER.glob("*.safetensors"))
    assert sorted(path.stem for path in files) == sorted(CLASSES) and sum(path.stat().st_size for path in files) < 25e6


def test_a_size_may_be_any_kind_of_number():
    assert load_pretrained("CIFAR10", 10.0).row == load_pretrained("CIFAR10", 10).row


@pytest.mark.parametrize(("dataset", "size"), [("CIFAR10", 11), ("MNIST", 10), ("CIFAR10", "10"), (None, 10)])
def test_another_is_refused(dataset, size):
    with pytest.raises(ValueError, match="but of CIFAR10 and CIFAR100, of 10, 20, 50, 100 numbers"):
        load_pretrained(dataset, size)


@pytest.mark.parametrize("where", [0, 100, 5_000, -1])
def test_a_damaged_file_is_found_out(where, tmp_path, monkeypatch):
    contents = bytearray((pretrained.FOLDER / "CIFAR10.safetensors").read_bytes())
    contents[where] ^= 4
    (tmp_path / "CIFAR10.safetensors").write_bytes(contents)
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    with pytest.raises(DamagedFileError, match="get it anew with the repository"):
        load_pretrained("CIFAR10", 10)
    with pytest.raises(DamagedFileError, match=r"CIFAR100\.safetensors cannot be read"):
        load_pretrained("CIFAR100", 10)


def test_the_model_card_says_what_the_rows_say():
    card = (pretrained.FOLDER / "README.md").read_text(encoding="utf-8")
    for dataset in CLASSES:
        for size in LATENT_DIMS:
            row = load_pretrained(dataset, size).row
            probes = " | ".join(f"{100 * row[f'accuracy_{probe}']:.1f} %" for probe in ("mlp", "linear"))
            assert f"| {dataset} | {size} | {row['test_mse']:.4f} | {probes} |" in card
