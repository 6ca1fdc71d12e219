import math

import numpy as np
import pytest
import torch

from src.autoencoder import AUTOENCODERS, bits_per_dimension, build_autoencoder, fit_pca, kl_divergence
from src.baseline import PCACode, SpatialAutoencoder
from src.sweep import CODES

IMAGES = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def build(name, latent_dim=7):
    torch.manual_seed(0)
    return CODES[name](
        {"spatial": 128, "spatial_finetuned": 128, "pixels": 3072, "resnet18": 512}.get(name, latent_dim)
    )


@pytest.mark.parametrize("name", AUTOENCODERS)
@pytest.mark.parametrize("latent_dim", [1, 10, 100, 1024])
def test_the_code_has_the_latent_size_and_the_image_its_shape(name, latent_dim):
    model = build_autoencoder(name, latent_dim)
    z = model.encode(IMAGES)
    assert z.shape == (8, latent_dim) and z.dtype == torch.float32
    assert model.decode(z).shape == IMAGES.shape


@pytest.mark.parametrize("name", [name for name in CODES if name != "resnet18"])  # which can encode only
def test_decoded_images_lie_in_range_for_any_code(name):
    model = build(name)
    images = model.decode(100 * torch.randn(8, model.latent_dim))
    assert images.min() >= 0 and images.max() <= 1


@pytest.mark.parametrize("name", CODES)
def test_two_encodings_agree_in_training_mode_too(name):
    model = build(name).train()
    assert torch.equal(model.encode(IMAGES), model.encode(IMAGES))


@pytest.mark.parametrize("name", CODES)
def test_the_code_of_an_image_does_not_depend_on_its_company(name):
    model = build(name)
    torch.testing.assert_close(model.encode(IMAGES)[:2], model.encode(IMAGES[:2]))


def test_the_families_share_their_network():
    conv, vae = (build_autoencoder(name, 10).state_dict() for name in ("conv", "vae"))
    extra = {key for key in vae if key not in conv}
    assert extra == {"log_variance.weight", "log_variance.bias"}
    assert all(conv[key].shape == vae[key].shape for key in conv)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_it_starts_at_the_principal_components(name, sample):
    images, _ = sample.split("train")
    batch = torch.from_numpy(sample.x_test[:200]).permute(0, 3, 1, 2) / 255
    model, pca = build(name), PCACode(7)
    model.prepare(images)
    pca.prepare(images)
    with torch.no_grad():  # the start is PCA of two power iterations, the baseline is converged
        start, best = ((code.decode(code.encode(batch)) - batch).square().mean() for code in (model, pca))
    assert start == pytest.approx(best.item(), rel=0.01)
    assert model.encode(batch).std(0).sub(1).abs().max() < 0.3


def test_more_latent_units_than_images_can_be_prepared(tiny):
    model = build_autoencoder("conv", 300)
    model.prepare(tiny.x_train[:50])
    assert torch.isfinite(model.decode(model.encode(IMAGES))).all()


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_the_gradient_reaches_every_parameter(name):
    model = build(name)
    with torch.no_grad():  # layers that start at zero let nothing through until they have moved
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    model.loss(IMAGES)["total"].backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_the_loss_names_its_terms():
    assert set(build("conv").loss(IMAGES)) == {"total", "reconstruction"}
    assert set(build("vae").loss(IMAGES)) == {"total", "reconstruction", "kl"}


def test_the_vae_weighs_its_terms_by_the_optimal_variance():
    terms = build("vae").loss(IMAGES)
    expected = 3072 / 2 * math.log(terms["reconstruction"].item()) + terms["kl"].item()
    assert terms["total"].item() == pytest.approx(expected, rel=1e-5)


def test_the_divergence_is_that_of_torch():
    mean, log_variance = torch.randn(5, 4), torch.randn(5, 4)
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected)


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


def test_pca_is_the_best_linear_code(sample):
    images, _ = sample.split("train")
    pca = fit_pca(images[:500], 10)
    flat = images[:500].transpose(0, 3, 1, 2).reshape(500, -1) / 255
    singular = np.linalg.svd(flat - flat.mean(0), compute_uv=False)
    rest = np.square(flat - pca.inverse_transform(pca.transform(flat))).sum()
    assert rest == pytest.approx(np.square(singular[10:]).sum(), rel=2e-3)


@pytest.mark.parametrize("latent_dim", [0, -1, 1025, 2.5, "10", None, True])
def test_a_latent_size_out_of_range_is_refused(latent_dim):
    with pytest.raises(ValueError, match="whole number from 1 to 1024"):
        build_autoencoder("conv", latent_dim)


def test_an_unknown_family_is_refused():
    with pytest.raises(ValueError, match="conv, vae"):
        build_autoencoder("gan", 10)


def test_the_spatial_code_has_one_size():
    with pytest.raises(ValueError, match="128"):
        SpatialAutoencoder(64)


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize(
    "images",
    [
        torch.rand(8, 32, 32, 3),
        torch.rand(3, 32, 32),
        torch.rand(0, 3, 32, 32),
        torch.zeros(2, 3, 32, 32, dtype=torch.uint8),
        255 * torch.rand(2, 3, 32, 32),
        torch.rand(2, 3, 32, 32) - 0.5,
        torch.full((2, 3, 32, 32), float("nan")),
        np.zeros((2, 3, 32, 32), np.float32),
    ],
)
def test_wrong_images_are_refused(name, images):
    model = build(name)
    for method in (model.encode, model.loss):
        with pytest.raises(ValueError, match="images must"):
            method(images)


@pytest.mark.parametrize("codes", [torch.rand(2, 8), torch.rand(7), torch.zeros(2, 7, dtype=torch.int64), [[0.0] * 7]])
def test_wrong_codes_are_refused(codes):
    with pytest.raises(ValueError, match=r"codes must be a float tensor \(N, 7\)"):
        build("conv").decode(codes)
