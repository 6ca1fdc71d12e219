import numpy as np
import pytest
import torch

from src.autoencoder import build_autoencoder
from src.classifier import ClassifierConfig
from src.experiment import Settings
from src.measure import measure_information, measure_reconstruction, noisy_errors, read_code
from src.train import reconstruct_images


@pytest.fixture
def vae(tiny):
    torch.manual_seed(0)
    model = build_autoencoder("vae", 5)
    model.prepare(tiny.x_train)
    return model


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
        vae.to_code.weight[:2] = 0
        vae.to_code.bias[:2] = 0
        vae.log_variance.bias[:2] = 0
    assert measure_information(vae, tiny)["active_units"] == 3


def test_the_bound_is_shorter_than_the_raw_image_and_positive(vae, tiny):
    assert 0 < measure_information(vae, tiny)["bits_per_dim"] < 8


def test_all_readers_read(vae, tiny):
    config = ClassifierConfig(epochs=8, batch_size=32)
    row, _, predictions = read_code(vae, tiny, Settings(views=2, mlp=config, convolutions=config), convolutions=True)
    assert list(row)[:3] == ["accuracy_linear", "accuracy_knn", "accuracy_mlp"] and row["accuracy_conv"] > 0.2
    assert row["accuracy_linear"] > 0.5 and row["top5_mlp"] >= row["accuracy_mlp"] > 0.3
    assert np.mean(predictions == tiny.y_test) == row["accuracy_mlp"]


def test_noise_is_on_the_input_and_the_error_against_the_clean_image(vae, tiny):
    rows = noisy_errors(vae, tiny.x_test, (0.0, 0.3))
    assert [row["noise"] for row in rows] == [0.0, 0.3]
    assert rows[0]["mse"] == pytest.approx(measure_reconstruction(vae, tiny)["test_mse"], rel=1e-4)
    assert rows[0]["mse"] < rows[1]["mse"] < 0.3**2
