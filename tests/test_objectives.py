import numpy as np
import pytest
import torch
from conftest import ONCE, same_weights

from src.autoencoder import ConvAutoencoder, build_autoencoder
from src.encode import encode_images, reconstruction_errors
from src.objectives import NESTED_SIZES
from src.train import train_autoencoder


@pytest.fixture
def x():
    return torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_only_the_loss_differs_and_it_trains_the_code(x):
    model = build_autoencoder("masked", 4)
    assert same_weights(model, build_autoencoder("conv", 4))
    terms = model.loss(x)
    terms["total"].backward()
    assert model.to_code.weight.grad.abs().sum() > 0
    assert terms["reconstruction"].item() > 0


def test_a_third_of_the_patches_is_hidden_and_all_of_the_image_counts(x, monkeypatch):
    model, seen = build_autoencoder("masked", 4), []
    monkeypatch.setattr(model, "forward", lambda batch: seen.append(batch) or batch)
    error = model.loss(x)["reconstruction"]
    hidden = (seen[0] == 0.5).all(1)
    assert 0.25 < hidden.float().mean() < 0.42 and torch.equal(seen[0][:, 0][~hidden], x[:, 0][~hidden])
    assert error.item() == pytest.approx((seen[0] - x).square().mean().item())


@pytest.fixture(scope="module")
def nested(tiny):
    model = build_autoencoder("nested", 100)
    train_autoencoder(model, tiny, ONCE, progress=False)
    return model


def test_smaller_codes_are_the_first_numbers_of_the_largest(nested, tiny):
    z = encode_images(nested, tiny.x_test)
    for size in (10, 50):
        smaller = build_autoencoder("nested", size)
        train_autoencoder(smaller, tiny, ONCE, progress=False)
        assert same_weights(nested, smaller)
        assert np.allclose(encode_images(smaller, tiny.x_test), z[:, :size], atol=1e-5)


def test_what_is_left_out_of_a_code_is_decoded_as_zero(nested):
    z = torch.randn(3, 100, generator=torch.Generator().manual_seed(0))
    smaller = build_autoencoder("nested", 20)
    smaller.load_state_dict(nested.state_dict())
    cut = torch.where(torch.arange(100) < 20, z, 0.0)
    with torch.no_grad():
        assert torch.allclose(smaller.decode(z[:, :20]), nested.decode(cut), atol=1e-5)


def test_all_four_sizes_are_trained_and_weigh_the_same(nested, x):
    terms, errors = nested.loss(x), []
    for position, size in enumerate(NESTED_SIZES):
        part = x[position::4]
        z = torch.where(torch.arange(100) < size, nested.encode(part), 0.0)
        errors.append((ConvAutoencoder.decoder(nested, z) - part).square().mean())
    assert terms["total"].item() == pytest.approx(np.mean([error.log().item() for error in errors]), rel=1e-4)
    assert terms["reconstruction"].item() == pytest.approx(np.mean([error.item() for error in errors]), rel=1e-4)
    assert torch.isfinite(nested.loss(x[:1])["total"])


@pytest.mark.slow
def test_every_size_reconstructs_better_than_the_smaller(sample):
    model, errors = build_autoencoder("nested", 100), []
    train_autoencoder(model, sample, ONCE, progress=False)
    for size in NESTED_SIZES:
        model.latent_dim = size
        errors.append(reconstruction_errors(model, sample.x_test).mean())
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.4 * errors[0]
