import shutil
import sys

import numpy as np
import pytest
import torch
from conftest import QUICK
from torch import nn

from src import data_loader
from src.classifier import evaluate_classifier
from src.data_loader import ImageDataset, save_dataset
from src.encode import encode_images
from src.pretrained import BOTH, SIZES, classify, load_pretrained
from src.study import checkpoints, sweep
from src.study.checkpoints import checkpoint_path, load_autoencoder, load_checkpoint, load_classifier, load_trained
from src.study.experiment import Experiment
from src.utils import ROOT

sys.path.insert(0, str(ROOT / "run"))
import pack_pretrained


@pytest.fixture(scope="module")
def models(tiny, tiny100, tmp_path_factory):
    """Trained models of two data sets in a folder of their own; the last has no MLP probe."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MODELS_DIR", "REPORTS_DIR"):
            patch.setattr(checkpoints, name, folder / name)
        patch.setattr(sweep, "load_dataset", lambda name, **_: {"CIFAR10": tiny, "CIFAR100": tiny100}[name])
        ten, hundred = (Experiment(name, "vae", 4, probes=("mlp",)) for name in ("CIFAR10", "CIFAR100"))
        other = Experiment("CIFAR10", "vae", 3, probes=("knn",))
        for experiment in (ten, hundred, other):
            sweep.run_experiment(experiment, "folder", QUICK)
        yield ten, hundred, other


def test_the_class_is_that_of_the_probe_of_the_study(models, tiny):
    row, table = load_checkpoint(models[0], "folder")["row"], classify(tiny.x_test, load_trained(models[0], "folder"))
    assert table.shape == (100, 10) and list(table.columns) == list(tiny.classes)
    assert np.allclose(table.sum(axis=1), 1, atol=1e-5)
    assert np.mean(table.to_numpy().argmax(1) == tiny.y_test) == row["accuracy_mlp"]
    z = encode_images(load_autoencoder(models[0], "folder"), tiny.x_test)
    classifier = load_classifier(models[0], "folder")
    assert evaluate_classifier(classifier, z, tiny.y_test)["accuracy"] == row["accuracy_mlp"]


def test_a_model_of_other_classes_has_its_own(models, tiny100):
    table = classify(tiny100.x_test[:5], load_trained(models[1], "folder"))
    assert table.shape == (5, 100) and list(table.columns) == list(tiny100.classes)


def test_a_checkpoint_is_found_by_its_path(models, tiny):
    path = checkpoint_path(models[0], "folder")
    by_path, by_experiment = load_trained(path), load_trained(models[0], "folder")
    assert by_path.row == by_experiment.row and by_path.classes == by_experiment.classes
    assert classify(tiny.x_test[:5], by_path).equals(classify(tiny.x_test[:5], by_experiment))
    with pytest.raises(ValueError, match=r"has not been run: there is no .*missing.pt"):
        load_trained(path.with_name("missing.pt"))
    with pytest.raises(ValueError, match="has not been run"):
        load_trained(models[0])
    with pytest.raises(ValueError, match="without the MLP probe"):
        load_trained(models[2], "folder")


def test_a_file_of_another_kind_is_no_checkpoint(tmp_path):
    checkpoints.save_atomically({"state": {}}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match=r"state.pt is not the checkpoint of an experiment"):
        load_trained(tmp_path / "state.pt")


def test_what_is_of_a_study_is_to_be_loaded_first(models, tiny):
    path = checkpoint_path(models[0], "folder")
    for given in (models[0], path, str(path)):
        with pytest.raises(ValueError, match=r"load_trained of src\.study\.checkpoints that of an experiment"):
            classify(tiny.x_test[:5], given)


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (nn.Linear(2, 2), "Linear"),
        ("CIFAR10", "'CIFAR10'"),
        ("model.onnx", "'model.onnx'"),
        (("autoencoder", "classifier"), "tuple"),
        (5, "int"),
    ],
)
def test_what_is_no_model_is_refused(model, named, tiny):
    with pytest.raises(ValueError, match=f"model must be a TrainedModel, the path of .*, not {named}; load_pretrained"):
        classify(tiny.x_test[:5], model)


def own_dataset(tiny, classes):
    return ImageDataset("own", tiny.x_train, tiny.y_train % 2, tiny.x_test, tiny.y_test % 2, classes)


def test_a_model_keeps_its_classes_when_its_data_set_gets_others(study, tiny, monkeypatch):
    for function in (data_loader.class_names, data_loader.load_dataset):
        monkeypatch.setattr(function, "__defaults__", (study / "data", *function.__defaults__[1:]))
    dataset = own_dataset(tiny, ("cat", "dog"))
    save_dataset(dataset, study / "data")
    monkeypatch.setattr(sweep, "load_dataset", lambda name, **_: dataset)
    experiment = Experiment("own", "pca", 3, probes=("mlp",))
    sweep.run_experiment(experiment, "folder", QUICK)
    shutil.rmtree(study / "data" / "own")
    save_dataset(own_dataset(tiny, ("rose", "tulip", "daisy")), study / "data")
    assert data_loader.class_names("own") == ("rose", "tulip", "daisy")
    model = load_trained(experiment, "folder")
    assert model.classes == ("cat", "dog") and list(classify(tiny.x_test[:5], model)) == ["cat", "dog"]


def test_what_is_packed_is_what_was_trained(study, tiny, tmp_path, monkeypatch):
    experiments = {size: Experiment("CIFAR10", BOTH, size) for size in SIZES["CIFAR10", BOTH]}
    for experiment in experiments.values():
        sweep.run_experiment(experiment, "", QUICK)
    monkeypatch.setattr(pack_pretrained, "load_dataset", lambda name: tiny)
    pack_pretrained.save_pretrained("CIFAR10", BOTH, tmp_path)
    monkeypatch.setattr("src.pretrained.FOLDER", tmp_path)
    for size, experiment in experiments.items():
        packed, trained = load_pretrained("CIFAR10", size), load_trained(experiment)
        assert (packed.row, packed.classes) == (trained.row, trained.classes) and len(packed.codec.unit) == size
        for part in ("autoencoder", "classifier"):
            kept, whole = getattr(packed, part).state_dict(), getattr(trained, part).state_dict()
            assert kept.keys() == whole.keys()
            assert all(torch.equal(x, whole[key].to(torch.float16).to(x.dtype)) for key, x in kept.items())
