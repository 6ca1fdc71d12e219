"""Bytes, error and accuracy of quantised codes, and of the formats of the web."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import QUICK
from PIL import Image
from rates import CONTAINER, code_rates, draw_rates, envelope, format_rates, format_table, rate_table

from src.autoencoder import build_autoencoder
from src.study import sweep
from src.study.checkpoints import load_autoencoder, load_classifier
from src.study.experiment import Experiment

pytest.importorskip("constriction")
VAE = Experiment("CIFAR10", "vae", 4, probes=("mlp",))


@pytest.fixture
def row(study):
    return sweep.run_experiment(VAE, "", QUICK)


def test_the_finer_the_step_the_more_bytes_and_the_less_is_lost(row, tiny):
    rows = code_rates(load_autoencoder(VAE), tiny, "vae", load_classifier(VAE), steps=(0.01, 0.1, 1.0))
    rows = rows[~rows.equal_steps]
    exact = rows.iloc[0]
    assert (exact.step, exact.bytes, exact.bits) == (0, 16, 32)
    assert exact.mse == pytest.approx(row["test_mse"], rel=1e-4) and exact.accuracy == row["accuracy_mlp"]
    assert (np.diff(rows.bytes[1:]) < 0).all() and (np.diff(rows.mse[1:]) > 0).all()
    assert rows.mse[1] == pytest.approx(exact.mse, rel=1e-3) and (rows.bytes < 16.1).all()


def test_a_model_of_ones_own_without_a_probe_has_no_accuracy(tiny):
    model = build_autoencoder("pca", 3)
    model.initialise(tiny.x_train)
    rows = code_rates(model, tiny, "mine", steps=(0.5,))
    assert rows.columns.tolist() == ["dataset", "name", "latent_dim", "equal_steps", "step", "bytes", "mse", "bits"]
    assert rows[["dataset", "name", "latent_dim"]].drop_duplicates().values.tolist() == [["CIFAR10", "mine", 3]]


def test_formats_without_their_containers(sample):
    rows = format_rates(sample, count=5, qualities=(0, 90))
    assert {*rows.name} <= {*CONTAINER} and "jpeg" in {*rows.name}
    by_name = rows.set_index(["name", "quality"])
    for name in {*rows.name}:
        low, high = by_name.loc[(name, 0)], by_name.loc[(name, 90)]
        assert 0 < low.payload < low.bytes < high.bytes and low.mse > high.mse > 0


@pytest.mark.parametrize("name", CONTAINER)
def test_what_is_left_without_the_container_is_little_for_a_flat_image(name):
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), "white").save(buffer, name, quality=0)
    assert 0 <= len(buffer.getvalue()) - CONTAINER[name](buffer.getvalue()) < 40


def test_they_are_drawn_and_tabled(row, tiny, sample):
    rows = code_rates(load_autoencoder(VAE), tiny, "vae", load_classifier(VAE))
    formats = format_rates(sample, count=2, qualities=(0, 50, 90))
    figure = draw_rates(rows, formats, "CIFAR10")
    assert [ax.get_ylabel() for ax in figure.axes] == [
        "test MSE (10$^{-3}$, log scale)",
        "bits of the class, MLP probe",
    ]
    assert {"variational AE", "jpeg"} <= {text.get_text() for text in figure.axes[0].texts}
    plt.close(figure)
    assert rate_table(rows).index.tolist() == [
        ("CIFAR10", "variational AE", 4, "by the image"),
        ("CIFAR10", "variational AE", 4, "equal"),
    ]
    assert format_table(formats).columns.tolist() == ["bytes", "without the container", "MSE"]


def test_an_envelope_grows_with_the_bytes():
    found = envelope(pd.Series([3, 1, 2, 4]), pd.Series([0.2, 0.1, 0.3, 0.3]))
    assert found.to_dict() == {1: 0.1, 2: 0.3}


def test_the_table_reads_between_the_steps():
    rows = pd.DataFrame(
        {
            "dataset": "CIFAR10",
            "name": "conv",
            "latent_dim": 10,
            "equal_steps": False,
            "step": [0, 0.1, 1],
            "bits": [32, 5, 1],
            "mse": [0.01, 0.01, 0.02],
            "accuracy": [0.5, 0.5, 0.4],
        }
    )
    assert rate_table(rows, bits=(3,)).iloc[0, 0] == "+50 %, -5.0"
