"""The benchmark trains what it says, in turns, and writes rows and a figure; nothing here depends on how long that takes."""

import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ONCE, QUICK, repository, same_weights

from src.autoencoder import build_autoencoder
from src.encode import reconstruction_errors
from src.train import train_autoencoder
from src.utils import REPORTS_DIR, ROOT

SCRIPT = ROOT / "run" / "benchmark.py"
UNITS = {
    "machine": {"load average"},
    "reference": {"validation MSE", "test MSE"},
    "speed": {"s an epoch of 45,000 images"},
    "grid": {"minutes", "epochs of the plain port"},
    "memory": {"GiB"},
    "arithmetic": {"GFLOP/s", "% of the matrix product"},
    "growth": {"s an epoch"},
}
RECIPES = ["ours quick, one core", "plain port, all cores", "tutorial 9, all cores"]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    names = runpy.run_path(str(SCRIPT))
    monkeypatch.setitem(names["race"].__globals__, "QUICK", QUICK)
    monkeypatch.setitem(names["race"].__globals__, "PRESETS", {"quick": SimpleNamespace(settings=QUICK)})
    return SimpleNamespace(**names, globals=names["race"].__globals__)


@pytest.fixture(scope="module")
def small(sample):
    return replace(sample, x_train=sample.x_train[:1500], y_train=sample.y_train[:1500])


@pytest.mark.parametrize("network", ["plain_conv", "tutorial_conv", "PlainVAE"])
def test_the_plain_recipes_learn_through_a_code_of_the_same_size(bench, small, network):
    torch.manual_seed(0)
    model, images = getattr(bench, network)(), small.split("train")[0]
    widths = [layer.out_features for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    assert min(widths) == bench.D or 2 * bench.D in widths
    before = reconstruction_errors(model, images[:100]).mean()
    model.train()
    assert list(islice(bench.train_plainly(64, model, small), 31)) == [64] * 21 + [6] + [64] * 9
    with torch.no_grad():
        assert 0 <= model(torch.rand(2, 3, 32, 32)).min() and model(torch.rand(2, 3, 32, 32)).max() <= 1
    assert reconstruction_errors(model, images[:100]).mean() < before


def test_ours_is_trained_as_the_study_does_it(bench, tiny):
    models = [build_autoencoder("vae", 10) for _ in range(2)]
    assert sum(bench.train_ours(ONCE, models[0], tiny)) == 180
    train_autoencoder(models[1], tiny, ONCE, progress=False)
    assert same_weights(*models)


def test_the_recipes_take_turns(bench, small):
    small = replace(small, x_train=small.x_train[:500], y_train=small.y_train[:500])
    points = bench.race(small, small.split("validation")[0], limit=0.01, presets=["quick"])
    assert list(points.columns) == ["name", "images", "seconds", "error"]
    names = [name.replace("all cores", bench.THREADS) for name in RECIPES]
    assert set(names) < set(points.name)
    assert points.name.nunique() == 5 and list(points.name[:5]) == list(points.name.unique())
    for name, run in points.groupby("name"):
        assert (run.images.diff()[1:] > 0).all() and (run.seconds.diff()[1:] > 0).all() and (run.error > 0).all()
        assert run.images.max() == 450 if name.startswith("ours") else len(run) == 2


def test_a_pair_is_run_with_its_probes(bench, tiny, monkeypatch):
    monkeypatch.setitem(bench.globals, "load_dataset", lambda name, sample: tiny)
    seconds, peak = bench.run_pair(True, "conv", 10)
    assert seconds > 0 and (0 < peak < 100 or np.isnan(peak))


def test_the_grid_is_extrapolated_from_pairs_two_at_a_time(bench, monkeypatch):
    monkeypatch.setitem(bench.globals, "run_pair", lambda sample, family, size: (size, size / 10))
    with joblib.parallel_config(backend="sequential"):
        rows = list(bench.grid_rows(True, [("conv", 20), ("vae", 40)], plain_epoch=12))
    assert [row[2:] for row in rows] == [(4.0, "minutes"), (20.0, "epochs of the plain port"), (4.0, "GiB")]


def test_arithmetic_and_growth(bench, tiny):
    rows = [*bench.arithmetic_rows(tiny.x_train), *bench.growth_rows(tiny, (100, 10), (200, 10), (100, 20))]
    assert all(row[2] > 0 and row[3] in UNITS[row[0]] for row in rows)
    assert [row[1] for row in rows[2:]] == ["100 images, d = 10", "200 images, d = 10", "100 images, d = 20"]


def test_what_a_system_does_not_say_is_left_out(bench, tmp_path):
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t   1024 kB\n")
    assert bench.read(tmp_path / "status", "VmHWM") == "1024 kB"
    assert bench.read(tmp_path / "status", "VmPeak") == bench.read(tmp_path / "nowhere", "VmHWM") == ""


def test_the_figure_has_a_curve_a_recipe_and_names_the_machine(bench):
    rows = [("machine", "this machine", None, ""), ("reference", "PCA", 0.006, "validation MSE")]
    rows += [("reference", "prior work's report", 0.0067, "test MSE")]
    for name in [*RECIPES, "plain port, VAE, all cores"]:
        rows += [(f"error of {name}", f"{s:.2f} s", 0.01 / s, "validation MSE") for s in (0.5, 1.0, 2.0)]
    (ax,) = bench.draw(pd.DataFrame(rows, columns=["part", "setting", "value", "unit"])).axes
    assert "this machine" in ax.get_title() and "d = 100" in ax.get_title() and ax.get_xscale() == "log"
    assert "seconds" in ax.get_xlabel() and "[0, 1]" in ax.get_ylabel()
    written = [text.get_text() for text in ax.texts]
    assert written == [*RECIPES, "PCA (validation MSE)", "prior work's report (test MSE)"]
    assert [len(line.get_xdata()) for line in ax.lines] == [3, 3, 3, 2, 2]


def check_table(rows):
    """Every part is there, with its units, and the machine is named."""
    some_cores = {r"\d+ of \d+ cores$": "all cores"}  # where the tests compute on fewer threads
    rows = rows.replace({"part": some_cores, "setting": some_cores}, regex=True)
    curves = rows.part.str.startswith("error of ")
    assert set(rows.part[~curves]) == set(UNITS) and set(rows.unit[curves]) == {"validation MSE"}
    for part, units in rows[~curves].groupby("part").unit:
        assert set(units) == UNITS[part]
    assert {f"error of {name}" for name in RECIPES} <= set(rows.part[curves])
    timed = set(rows.setting[rows.part == "speed"]) - {"pythae's network for CIFAR, one core"}  # where it is installed
    assert set(rows.part[curves].str.removeprefix("error of ")) == timed
    (machine,) = rows.setting[rows.part == "machine"]
    assert all(word in machine for word in ("cores", "float", "Python", "torch")) and len(machine.split(", ")[0]) > 2


def test_the_committed_table_names_its_machine():
    rows = pd.read_csv(REPORTS_DIR / "benchmark.csv", keep_default_na=False)
    if "speed" not in set(rows.part):
        pytest.skip("the committed table was written by an earlier benchmark")
    check_table(rows)


@pytest.mark.slow
def test_a_whole_run_on_the_sample(tmp_path):
    folder = repository(tmp_path, SCRIPT.read_text())
    shutil.copy(SCRIPT.with_name("recipes.py"), folder)
    run = subprocess.run([sys.executable, "go.py", "--sample", "--quick"], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    check_table(pd.read_csv(folder / "reports" / "sample" / "benchmark.csv", keep_default_na=False))
    assert (folder / "reports" / "sample" / "Benchmark.png").exists() and "minutes" in run.stdout
