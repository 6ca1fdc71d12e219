import copy
import math
import random
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ONCE, QUICK, same_weights
from sklearn.decomposition import PCA
from torch import nn

from src import evaluate
from src.autoencoder import ConvAutoencoder, build_autoencoder
from src.baseline import MODELS, PRIOR_WORK, model_class
from src.encode import reconstruct_images
from src.evaluate import (
    PROBES,
    bits_per_dimension,
    evaluate_probes,
    measure_information,
    measure_reconstruction,
    png_bits_per_dim,
)
from src.report import classification, tables
from src.study.checkpoints import COLUMNS

TEN = replace(ONCE, epochs=10, batch_size=32, learning_rate=3e-2, linear_rate=1.0)


@pytest.fixture
def vae(tiny):
    model = build_autoencoder("vae", 5)
    model.initialise(tiny.x_train)
    return model


def probed(model, dataset, probes=tuple(PROBES), seed=0, config=QUICK.mlp):
    return evaluate_probes(model, dataset, probes, seed, 2, config, config)


def test_the_error_and_the_psnr_are_those_of_the_images(vae, tiny):
    row = measure_reconstruction(vae, tiny)
    errors = np.square(reconstruct_images(vae, tiny.x_test) - tiny.x_test / 255).mean((1, 2, 3))
    assert row["test_mse"] == pytest.approx(errors.mean(), rel=1e-5)
    assert row["test_psnr_db"] == pytest.approx(np.mean(10 * np.log10(1 / errors)), rel=1e-5)
    assert row["val_mse"] != row["test_mse"]


def test_a_unit_without_divergence_is_not_active(vae, tiny):
    row = measure_information(vae, tiny)
    assert row["active_units"] == 5 and row["kl_nats"] > 1
    with torch.no_grad():
        for parameter in (vae.to_code.weight, vae.to_code.bias, vae.to_log_variance.bias):
            parameter[:2] = 0
    assert measure_information(vae, tiny)["active_units"] == 3


def test_the_bound_is_shorter_than_the_raw_image_and_positive(vae, tiny):
    assert 0 < measure_information(vae, tiny)["bits_per_dim"] < 8


def test_the_bound_is_no_shorter_than_the_code_of_a_discretised_normal():
    rng = np.random.default_rng(0)
    std, size = 0.08, 3072 * 50
    mean = rng.uniform(0.3, 0.7, size)
    pixels = np.round(255 * (mean + std * rng.standard_normal(size))) / 255
    bins = torch.distributions.Normal(torch.from_numpy(mean), std)
    mass = bins.cdf(torch.from_numpy(pixels + 0.5 / 255)) - bins.cdf(torch.from_numpy(pixels - 0.5 / 255))
    exact = -mass.log2().mean().item()
    bound = bits_per_dimension(0.0, np.square(pixels - mean).mean(), std**2)
    assert exact <= bound <= exact + 0.01
    assert bits_per_dimension(3072 * math.log(2), 0.01, 0.01) == pytest.approx(bits_per_dimension(0, 0.01, 0.01) + 1)


def test_every_probe_learns_the_class(vae, tiny):
    row, trained = probed(vae, tiny, config=TEN)
    assert set(row) == {f"{column}_{name}" for name, probe in PROBES.items() for column in probe.columns} | {
        "classifier_seconds"
    }
    assert row["accuracy_linear"] > 0.5 and row["accuracy_knn"] > 0.2 and row["accuracy_cnn"] > 0.2
    assert row["top5_mlp"] >= row["accuracy_mlp"] > 0.3
    assert (trained["predictions"]["mlp"].numpy() == tiny.y_test).mean() == row["accuracy_mlp"]


def test_a_probe_does_not_depend_on_the_others(vae, tiny):
    together, _ = probed(vae, tiny)
    for probe in PROBES:
        columns = [f"{column}_{probe}" for column in PROBES[probe].columns]
        alone, trained = probed(vae, tiny, (probe,))
        assert {column: alone[column] for column in columns} == {column: together[column] for column in columns}
        assert len(alone) == len(columns) + 1 and ("classifier" in trained) == (probe == "mlp")


def test_views_made_one_by_one_are_those_made_together(vae, tiny, monkeypatch):
    config = replace(ONCE, epochs=3)  # two views in turn: the first comes back
    together, _ = evaluate_probes(vae, tiny, PROBES, 0, 2, config, config)
    monkeypatch.setattr(evaluate, "MEMORY", 0)
    one_by_one, _ = evaluate_probes(vae, tiny, PROBES, 0, 2, config, config)
    assert {**together, "classifier_seconds": 0} == {**one_by_one, "classifier_seconds": 0}


@pytest.mark.parametrize("name", MODELS)
def test_probes_leave_the_encoder_and_the_random_state_as_they_were(name, tiny):
    sizes = model_class(name).latent_dims
    model = build_autoencoder(name, 5 if 5 in sizes else sizes[0])
    weights = copy.deepcopy(model.state_dict())
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    row, _ = probed(model, tiny, seed=np.int64(1))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]
    assert same_weights(model, weights) and all(parameter.grad is None for parameter in model.parameters())
    assert ("accuracy_cnn" in row) == model.has_decoder


def test_png_takes_little_for_a_flat_image_and_all_for_noise():
    flat = np.zeros((2, 32, 32, 3), np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    assert png_bits_per_dim(flat) < 0.5 and 8 < png_bits_per_dim(noise) < 8.5


def test_a_probe_that_is_not_known_is_refused(vae, tiny):
    with pytest.raises(ValueError, match="unknown probe 'svm': choose one of linear, knn, mlp, cnn"):
        evaluate_probes(vae, tiny, ["svm"])
    assert evaluate_probes(vae, tiny, "knn")[0].keys() == {"accuracy_knn", "classifier_seconds"}


@pytest.fixture
def own_pca(tiny):
    """A user's own PCA of ten numbers as two functions, and the study's."""
    flat = tiny.split("train")[0].reshape(180, -1) / 255
    pca = PCA(10, svd_solver="full").fit(flat)
    ours = build_autoencoder("pca", 10)
    ours.initialise(tiny.split("train")[0])
    return (
        lambda images: pca.transform(images.reshape(len(images), -1) / 255),
        lambda z: pca.inverse_transform(z).clip(0, 1).reshape(-1, 32, 32, 3),
        ours,
    )


def test_any_two_functions_are_measured_as_the_studys_models_are(own_pca, tiny):
    encode, decode, ours = own_pca
    config = replace(ONCE, epochs=4)
    row = evaluate.evaluate(encode, decode, tiny, "my PCA", tuple(PROBES), views=2, mlp=config, cnn=ONCE)
    expected = measure_reconstruction(ours, tiny) | evaluate_probes(ours, tiny, ["linear", "knn"], 0, 2)[0]
    for column in ("val_mse", "test_mse", "test_psnr_db", "accuracy_linear", "accuracy_knn"):
        assert row[column] == pytest.approx(expected[column], rel=1e-3, abs=0.02)
    assert {*row} <= {*COLUMNS} and 0 <= row["accuracy_cnn"] <= 1 and 0 <= row["accuracy_mlp"] <= 1
    assert (row["autoencoder"], row["latent_dim"], row["dataset"]) == ("my PCA", 10, "CIFAR10")


def test_torch_modules_and_an_autoencoder_are_measured_as_functions_are(own_pca, tiny):
    ours = own_pca[2]
    encode = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    encode[1].weight.data, encode[1].bias.data = ours.components.data, -ours.components.data @ ours.mean.data
    decode = nn.Sequential(nn.Linear(10, 3072), nn.Unflatten(1, (3, 32, 32)))
    decode[0].weight.data, decode[0].bias.data = ours.components.data.T.contiguous(), ours.mean.data
    rows = [evaluate.evaluate(*pair, tiny, probes=["knn"], views=1) for pair in ((encode, decode), (ours, None))]
    expected = measure_reconstruction(ours, tiny)["test_mse"]
    assert [row["test_mse"] for row in rows] == pytest.approx([expected, expected], rel=1e-5)
    assert rows[0]["accuracy_knn"] == pytest.approx(rows[1]["accuracy_knn"], abs=0.02)


def test_a_bar_counts_the_images_that_are_encoded(own_pca, tiny, monkeypatch):
    bars, bar = [], evaluate.tqdm
    monkeypatch.setattr(evaluate, "tqdm", lambda **how: bars.append(bar(**how)) or bars[-1])
    evaluate.evaluate(own_pca[0], None, tiny, probes=["mlp"], views=3, mlp=ONCE)
    assert bars[0].n == bars[0].total == 3 * 180 + 20 + 100


def test_its_row_stands_in_the_tables_and_the_figures(own_pca, tiny, results):
    row = evaluate.evaluate(*own_pca[:2], tiny, "my PCA", probes=["mlp"], views=1, mlp=ONCE)
    results = pd.concat([results, pd.DataFrame([row])], ignore_index=True)
    assert ("CIFAR10", "my PCA") in tables.error_table(results).index
    assert (
        tables.accuracy_table(results).loc[("CIFAR10", "my PCA"), "d = 10"].strip("*")
        == f"{100 * row['accuracy_mlp']:.1f}"
    )
    figure = classification.accuracy(results, PRIOR_WORK, 10)
    assert "my PCA" in [text.get_text() for text in figure.axes[0].get_yticklabels()]
    plt.close(figure)


def test_an_encoder_alone_and_images_as_bytes_will_do(own_pca, tiny):
    encode, decode, _ = own_pca
    row = evaluate.evaluate(encode, None, tiny, probes=["linear", "cnn"])
    assert "test_mse" not in row and "accuracy_cnn" not in row and row["accuracy_linear"] > 0
    as_bytes = evaluate.evaluate(encode, lambda z: np.rint(255 * decode(z)).astype(np.uint8), tiny, probes=[])
    as_floats = evaluate.evaluate(encode, decode, tiny, probes=[])
    assert as_bytes["test_mse"] == pytest.approx(as_floats["test_mse"] + 1 / 12 / 255**2, rel=1e-4)
    turned = evaluate.evaluate(
        encode, lambda z: decode(z)[..., ::-1][..., ::-1], tiny, probes=["cnn"], views=1, cnn=ONCE
    )
    assert turned["test_mse"] == as_floats["test_mse"] and turned["accuracy_cnn"] >= 0


@pytest.mark.parametrize(
    ("encode", "decode", "message"),
    [
        (lambda images: images[:, 0, 0, 0], None, "2D array"),
        (lambda images: np.full((len(images), 3), np.nan), None, "NaN"),
        (lambda images: np.zeros((2, 3)), None, r"encode must give \(20, 3\) for 20 images, not \(2, 3\)"),
        (
            lambda images: np.zeros((len(images), 3)),
            lambda z: np.zeros((len(z), 3, 32, 32)),
            r"decode must give \(100, 32, 32, 3\) for 100 codes, not \(100, 3, 32, 32\)",
        ),
        (lambda images: np.zeros((len(images), 3)), lambda z: np.zeros((1, 32, 32, 3)), r"not \(1, 32, 32, 3\)"),
        (lambda images: np.zeros((len(images), 3)), lambda z: np.full((len(z), 32, 32, 3), 2.0), r"clip them"),
    ],
)
def test_functions_that_give_something_else_are_refused(encode, decode, message, tiny):
    with pytest.raises(ValueError, match=message):
        evaluate.evaluate(encode, decode, tiny, probes=["linear"])


def test_a_function_cannot_change_the_test_images(tiny):
    before = tiny.x_test.copy()

    def encode(images):
        images[:] = 0
        return images.reshape(len(images), -1)[:, :3] + np.arange(3)

    evaluate.evaluate(encode, None, tiny, probes=["linear"])
    assert np.array_equal(tiny.x_test, before)


@pytest.mark.parametrize("name", ["conv", "PCA", "mynet"])
def test_the_name_of_a_model_is_refused(name, tiny, monkeypatch):
    monkeypatch.setitem(MODELS, "MyNet", ConvAutoencoder)
    with pytest.raises(ValueError, match=f"{name!r} is a model of the study"):
        evaluate.evaluate(lambda images: images[:, 0, 0], None, tiny, name)


def test_a_label_of_the_tables_as_a_name_stands_beside_it(tiny, results):
    row = evaluate.evaluate(lambda images: images[:, 0, 0], lambda z: np.zeros((len(z), 32, 32, 3)), tiny, "raw pixels")
    table = tables.error_table(pd.concat([results, pd.DataFrame([row])], ignore_index=True))
    assert ("CIFAR10", "raw pixels (own)") in table.index


def test_no_view_is_refused(tiny):
    with pytest.raises(ValueError, match="views must be a whole number of at least 1, not 0"):
        evaluate.evaluate(lambda images: images[:, 0, 0], None, tiny, views=0)


def test_tensors_with_a_gradient_will_do(own_pca, tiny):
    encode, decode, _ = own_pca
    with_gradient = [lambda x, f=f: torch.tensor(f(x), requires_grad=True) for f in (encode, decode)]
    rows = [evaluate.evaluate(*pair, tiny, probes=["linear"]) for pair in ((encode, decode), with_gradient)]
    for row in rows:
        del row["classifier_seconds"]
    assert rows[0] == rows[1]
