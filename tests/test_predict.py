import numpy as np
import pytest
from conftest import QUICK

from src.classifier import evaluate_classifier
from src.encode import encode_images
from src.predict import classify
from src.study import checkpoints, sweep
from src.study.checkpoints import checkpoint_path, load_autoencoder, load_checkpoint, load_classifier
from src.study.experiment import Experiment


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
    table, row = classify(tiny.x_test, models[0], "folder"), load_checkpoint(models[0], "folder")["row"]
    assert table.shape == (100, 10) and list(table.columns) == list(tiny.classes)
    assert np.allclose(table.sum(axis=1), 1, atol=1e-5)
    assert np.mean(table.to_numpy().argmax(1) == tiny.y_test) == row["accuracy_mlp"]
    z = encode_images(load_autoencoder(models[0], "folder"), tiny.x_test)
    classifier = load_classifier(models[0], "folder")
    assert evaluate_classifier(classifier, z, tiny.y_test)["accuracy"] == row["accuracy_mlp"]


def test_a_model_of_other_classes_has_its_own(models, tiny100):
    table = classify(tiny100.x_test[:5], models[1], "folder")
    assert table.shape == (5, 100) and list(table.columns) == list(tiny100.classes)


def test_a_checkpoint_is_found_by_its_path(models, tiny, tmp_path):
    path = checkpoint_path(models[0], "folder")
    assert classify(tiny.x_test[:5], path).equals(classify(tiny.x_test[:5], models[0], "folder"))
    assert load_autoencoder(str(path)).latent_dim == 4
    with pytest.raises(ValueError, match=r"has not been run: there is no .*missing.pt"):
        classify(tiny.x_test[:5], path.with_name("missing.pt"))
    with pytest.raises(ValueError, match="has not been run"):
        classify(tiny.x_test[:5], models[0])
    with pytest.raises(ValueError, match="without the MLP probe"):
        classify(tiny.x_test[:5], models[2], "folder")


def test_a_file_of_another_kind_is_no_checkpoint(tmp_path, tiny):
    checkpoints.save_atomically({"state": {}}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match=r"state.pt is not the checkpoint of an experiment"):
        classify(tiny.x_test[:5], tmp_path / "state.pt")
