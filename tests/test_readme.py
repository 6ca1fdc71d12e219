"""The README's examples run as they stand, on a small data set in place of the complete one."""

import inspect
import re
import textwrap
from functools import partial

import numpy as np
import pytest
from conftest import QUICK
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from src import data_loader
from src.study import checkpoints, sweep
from src.transformer import AutoencoderTransformer
from src.utils import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def elsewhere(tiny, study, monkeypatch):
    """A folder with two pictures and a folder of them; the complete data set is a tiny one."""
    kept = {function.__name__: function for function in (data_loader.load_dataset, data_loader.class_names)}
    for function in (*kept.values(), data_loader.save_dataset):
        monkeypatch.setattr(function, "__defaults__", (study / "data", *function.__defaults__[1:]))
    loaded = lambda name, **how: tiny if name == "CIFAR10" else kept["load_dataset"](name, **how)  # noqa: E731
    monkeypatch.setattr(data_loader, "load_dataset", loaded)
    monkeypatch.setattr(sweep, "load_dataset", loaded)
    monkeypatch.setattr(sweep, "run_sweep", partial(sweep.run_sweep, n_jobs=1, settings=QUICK))
    names = ["holiday.jpg", "cat.png"]
    names += [f"pictures/flowers/{kind}/{i}.png" for kind in ("rose", "tulip", "daisy") for i in range(20)]
    for i, name in enumerate(names):
        (study / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((40, 60, 3), 40 + 3 * i, np.uint8)).save(study / name)
    monkeypatch.chdir(study)
    assert checkpoints.MODELS_DIR == study / "models"


@pytest.mark.pretrained
def test_the_examples_run_in_their_order(elsewhere):
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 4 and names["z"].shape == (100, 50) and len(names["history"]) == 2
    assert names["row"]["accuracy_linear"] > 0.2  # chance is 0.1
    assert names["probabilities"].shape == (2, 10) and names["kept"].shape == (1, 32, 32, 3)
    assert names["results"][["dataset", "autoencoder", "latent_dim"]].to_numpy().tolist() == [
        ["flowers", "conv", 10], ["flowers", "conv", 20], ["flowers", "pca", 10], ["flowers", "pca", 20]
    ]  # fmt: skip


def example(described):
    """The code in a docstring: its indented lines."""
    lines = [line for line in inspect.getdoc(described).splitlines() if line.startswith("    ") or not line]
    return textwrap.dedent("\n".join(lines))


def test_the_transformers_example_runs(tiny):
    names = {"dataset": tiny, "AutoencoderTransformer": AutoencoderTransformer, "GridSearchCV": GridSearchCV}
    names |= {
        "LogisticRegression": LogisticRegression,
        "StandardScaler": StandardScaler,
        "make_pipeline": make_pipeline,
    }
    exec(example(AutoencoderTransformer), names)
    assert names["search"].best_params_["autoencodertransformer__latent_dim"] in (10, 20)


def test_the_clusters_example_runs(monkeypatch):
    distributed, swept = pytest.importorskip("distributed"), []
    code = example(sweep.run_sweep)
    monkeypatch.setattr(
        distributed,
        "Client",
        lambda address: distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None).get_client(),
    )
    monkeypatch.setattr(sweep, "run_sweep", lambda experiments, folder: swept.extend(experiments))
    exec(code, {})
    assert len(swept) == 1024  # the cluster's run itself: tests/faults/test_cluster.py


def test_its_commands_are_those_of_the_makefile():
    commands = set(re.findall(r"make ([a-z-]+)", README))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert {"run", "demo", "test", "study", "bench"} <= commands <= targets


def test_every_link_and_figure_of_the_readme_is_there():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links and [link for link in links if not (ROOT / link).exists()] == []
    assert len(README.splitlines()) <= 200
