"""The benchmark measures what it says: each part on a few images, and the figure from rows as it writes them."""

import runpy

import joblib
import numpy as np
import pandas as pd
import pytest
import torch

from src.benchmark_plots import overview, summary
from src.utils import ROOT


@pytest.fixture(scope="module")
def bench():
    return runpy.run_path(str(ROOT / "run" / "benchmark.py"))


@pytest.fixture(scope="module")
def images(sample):
    return sample.split("train")[0][:256]


def test_the_plain_port_and_ours_are_both_timed(bench, images):
    rows = list(bench["epochs"](images, 1))
    assert {row[1] for row in rows} == {"plain conv", "plain vae", "ours conv", "ours vae"}
    for (_, _, seconds, _), (_, _, rate, _) in zip(rows[::2], rows[1::2], strict=True):
        assert seconds * rate == pytest.approx(45_000)


@pytest.mark.parametrize("family", ["conv", "vae"])
def test_the_plain_port_learns(bench, images, family):
    losses = []
    torch.manual_seed(0)
    model = {"conv": bench["PlainConv"], "vae": bench["PlainVAE"]}[family]
    original = model.loss
    model.loss = lambda self, x: losses.append(original(self, x)) or losses[-1]
    for _ in range(2):
        bench["plain_epoch"](family, 10, np.tile(images, (16, 1, 1, 1)))
    assert len(losses) == 2 * 64 and losses[63] < losses[0]


def test_the_time_to_a_target_is_none_where_it_is_not_reached(bench, sample, monkeypatch):
    ((_, _, reached, _),) = bench["time_to_target"](sample, [10])
    monkeypatch.setitem(bench["time_to_target"].__globals__, "PRIOR_WORK", bench["PRIOR_WORK"].assign(test_mse=0.0))
    ((_, _, never, _),) = bench["time_to_target"](sample, [10], step=30)
    assert (reached > 0 or np.isnan(reached)) and np.isnan(never)


def test_the_peak_of_a_worker_is_its_own(bench):
    held = np.ones(2**27)  # a GiB, which a process that this one starts has not got
    (peak,) = joblib.Parallel(2)(joblib.delayed(bench["peak_memory"])() for _ in range(1))
    assert 0 < peak < 1 <= held.nbytes / 2**30 < bench["peak_memory"]()


def test_longer_reading_takes_longer(bench, sample):
    bought = list(bench["accuracy_for_time"](sample, (1, 4)))
    accuracies, seconds = [row[2] for row in bought[::2]], [row[2] for row in bought[1::2]]
    assert [row[1] for row in bought] == [1, "MLP, 1 epochs", 4, "MLP, 4 epochs"]
    assert seconds[0] < seconds[1] and all(15 < accuracy < 100 for accuracy in accuracies)


def test_the_readme_quotes_the_committed_benchmarks():
    readme, tables = (ROOT / "README.md").read_text(), {}
    for name in ("benchmark", "benchmark_float32", "benchmark_avx2"):
        tables[name] = pd.read_csv(ROOT / "reports" / f"{name}.csv")
    assert summary(tables.pop("benchmark")) in readme
    unwrapped = readme.replace("\n", " ")
    for rows in tables.values():
        value = rows.drop_duplicates("setting").set_index("setting").value
        minutes = value["ours, 16 pairs with classifiers, extrapolated"]
        epochs = value["ours in epochs of the plain port's conv"]
        assert f"{minutes:.1f} minutes, or {epochs:.0f} of " in unwrapped
    (memory,) = tables["benchmark_avx2"].query("setting == 'peak of a worker'").value
    assert f"There a worker needs {memory:.2f} GiB at its peak with codes of up to 100 numbers" in unwrapped


def test_the_figure_has_a_panel_a_part():
    rows = [
        ("epoch", f"{who} {family}", 10.0, "images a second") for who in ("plain", "ours") for family in ("conv", "vae")
    ]
    rows += [("grid", "ours, extrapolated", 5.0, "minutes"), ("grid", "plain port, extrapolated", 50.0, "minutes")]
    rows += [("time to target", "conv d=10", np.nan, "s"), ("profile", "mm", 30.0, "% of the time")]
    rows += [("arithmetic", "training step, share of the peak", 40.0, "%")]
    rows += [(part, 1, 2.0, "s") for part in ("images", "latent size", "width", "workers")]
    for count in (4, 8):
        rows += [("accuracy for time", count, 60.0, "%"), ("reader", f"MLP, {count} epochs", 3.0 * count, "s")]
    figure = overview(pd.DataFrame(rows, columns=["part", "setting", "value", "unit"]), "this machine")
    assert len(figure.axes) == 9 and all(ax.get_title() and ax.get_xlabel() for ax in figure.axes)
    assert "40 % of the peak" in figure.axes[3].get_title()
