"""The README's examples run as they stand, on a small data set in place of the complete one."""

import re

import numpy as np
import pytest
from PIL import Image

from src import data_loader, outcomes, sweep
from src.classifier import ClassifierConfig
from src.experiment import Experiment, Settings
from src.train import TrainConfig
from src.utils import ROOT


@pytest.fixture
def elsewhere(tiny, tmp_path, monkeypatch):
    """A folder with two pictures and a trained model; the complete data set is a tiny one, and no cluster is reached."""
    for name in ("MODELS_DIR", "REPORTS_DIR"):
        monkeypatch.setattr(outcomes, name, tmp_path / name)
    for module in (data_loader, sweep):
        monkeypatch.setattr(module, "load_dataset", lambda *args, **kwargs: tiny)
    once = ClassifierConfig(epochs=1, batch_size=32)
    settings = Settings(TrainConfig(epochs=1, batch_size=64), views=1, mlp=once, convolutions=once)
    sweep.run_experiment(Experiment("CIFAR10", "conv", 100), settings=settings)
    for name in ("holiday.jpg", "cat.png"):
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)


def test_the_examples_run_in_their_order(elsewhere, monkeypatch):
    distributed = pytest.importorskip("distributed")
    swept = []
    monkeypatch.setattr(
        distributed,
        "Client",
        lambda address: distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None).get_client(),
    )
    monkeypatch.setattr(sweep, "run_sweep", lambda experiments: swept.extend(experiments))
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 4 and names["z"].shape == (100, 50) and len(names["history"]) == 2
    assert names["probabilities"].shape == (2, 10)
    assert names["search"].best_params_["autoencodertransformer__latent_dim"] in (10, 20)
    assert len(swept) == 1024  # the cluster's run itself: tests/faults/test_cluster.py
