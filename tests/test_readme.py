"""The README's examples run as they stand, on a small data set in place of the complete one."""

import re

import numpy as np
import pytest
from conftest import QUICK
from PIL import Image

from src import data_loader
from src.study import checkpoints, sweep
from src.study.experiment import Experiment
from src.utils import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def elsewhere(tiny, study, monkeypatch):
    """A folder with two pictures and a trained model; the complete data set is a tiny one, and no cluster is reached."""
    monkeypatch.setattr(data_loader, "load_dataset", lambda *args, **kwargs: tiny)
    sweep.run_experiment(Experiment("CIFAR10", "conv", 100), "quick", settings=QUICK)
    for name in ("holiday.jpg", "cat.png"):
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(study / name)
    monkeypatch.chdir(study)
    assert checkpoints.MODELS_DIR == study / "models"


def test_the_examples_run_in_their_order(elsewhere, monkeypatch):
    distributed = pytest.importorskip("distributed")
    swept = []
    monkeypatch.setattr(
        distributed,
        "Client",
        lambda address: distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None).get_client(),
    )
    monkeypatch.setattr(sweep, "run_sweep", lambda experiments, folder: swept.extend(experiments))
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 4 and names["z"].shape == (100, 50) and len(names["history"]) == 2
    assert names["probabilities"].shape == (2, 10)
    assert names["search"].best_params_["autoencodertransformer__latent_dim"] in (10, 20)
    assert len(swept) == 1024  # the cluster's run itself: tests/faults/test_cluster.py


def test_every_link_and_figure_of_the_readme_is_there():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links and [link for link in links if not (ROOT / link).exists()] == []
    assert len(README.splitlines()) <= 200
