import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import same_weights

from src import autoencoder, baseline, objectives  # noqa: F401 (their autoencoders are known by name once they are imported)
from src.autoencoder import ConvAutoencoder, build_autoencoder, fit_pca, kl_divergence
from src.baseline import MODELS, Models, model_class, network_arguments
from src.evaluate import measure_information
from src.train import TrainConfig, train_autoencoder
from src.utils import seeded

FAMILIES = ("conv", "vae", "denoising")
WITH_DECODER = [name for name in MODELS if name != "supervised"]
IMAGES = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def build(name, latent_dim=7):
    sizes = model_class(name).latent_dims
    return build_autoencoder(name, latent_dim if latent_dim in sizes else sizes[0])


@pytest.mark.parametrize("name", WITH_DECODER)
@pytest.mark.parametrize("latent_dim", [1, 100])
def test_the_code_has_the_latent_size_and_the_image_its_shape(name, latent_dim):
    model = build(name, latent_dim)
    z = model.encode(IMAGES)
    assert z.shape == (8, model.latent_dim) and z.dtype == torch.float32
    images = model.decode(100 * z)
    assert images.shape == IMAGES.shape and images.min() >= 0 and images.max() <= 1
    assert torch.equal(model(IMAGES), model.decode(z))


@pytest.mark.parametrize("name", MODELS)
def test_an_encoding_is_the_same_again_and_does_not_depend_on_the_other_images(name):
    model = build(name)
    z = model.encode(IMAGES)
    torch.testing.assert_close(z[:2], model.encode(IMAGES[:2]))
    if name != "supervised":  # whose batch normalisation and dropout are others in training
        assert torch.equal(model.train().encode(IMAGES), z)


def test_the_families_share_their_network():
    conv, vae = (build(name).state_dict() for name in ("conv", "vae"))
    assert {key for key in vae if key not in conv} == {"to_log_variance.weight", "to_log_variance.bias"}
    assert all(conv[key].shape == vae[key].shape for key in conv)


@pytest.mark.parametrize("name", MODELS)
def test_width_and_depth_reach_the_classes_that_take_them(name):
    sizes = model_class(name).latent_dims
    network = network_arguments(name, {"width": 8, "depth": 3})
    model = build_autoencoder(name, 7 if 7 in sizes else sizes[0], **network)
    named = [(part, p) for part, p in model.named_parameters() if not part.startswith("network_features.")]
    kernels = [tuple(parameter.shape) for _, parameter in named if parameter.ndim == 4]
    of_conv = 2 * [(8, 48, 1, 1), *3 * [(8, 8, 3, 3)], (48, 8, 1, 1)]
    assert (kernels == of_conv) == issubclass(model_class(name), ConvAutoencoder)


def test_the_seed_decides_the_initialisation():
    first, same, other = (build_autoencoder("conv", 5, seed) for seed in (0, np.int64(0), 1))
    assert same_weights(first, same) and not same_weights(first, other)


@pytest.mark.parametrize("name", FAMILIES)
def test_it_starts_at_the_principal_components(name, sample):
    images, _ = sample.split("train")
    batch = torch.from_numpy(sample.x_test[:200]).permute(0, 3, 1, 2) / 255
    model, pca = build(name), build("pca")
    model.initialise(images[:1000])
    pca.initialise(images[:1000])
    with torch.no_grad():  # the start is PCA of two power iterations, the baseline is converged
        start, best = ((code(batch) - batch).square().mean() for code in (model, pca))
    assert start == pytest.approx(best.item(), rel=0.01)
    assert model.encode(batch).std(0).sub(1).abs().max() < 0.3


@pytest.mark.parametrize("name", ["conv", "vae", "pca"])
@pytest.mark.parametrize("images", [1, 2, 3, 50])
def test_any_number_of_images_is_enough_to_start_from(name, images, tiny):
    model = build_autoencoder(name, 300)
    model.initialise(tiny.x_train[:images])
    assert torch.isfinite(model(IMAGES)).all()
    if name != "vae" and images > 1:  # units beyond the components are not decoded at first
        with torch.no_grad():
            x = torch.from_numpy(tiny.x_train[:images]).permute(0, 3, 1, 2) / 255
            assert (model(x) - x).square().mean() < 1e-3


@pytest.mark.parametrize("latent_dim", [500, pytest.param(600, marks=pytest.mark.slow)])
def test_a_vae_with_as_many_units_as_images_does_not_cost_more_than_raw_pixels(latent_dim, sample):
    few = {f"{xy}_{part}": getattr(sample, f"{xy}_{part}")[:600] for xy in "xy" for part in ("train", "test")}
    dataset, model = replace(sample, **few), build_autoencoder("vae", latent_dim)
    train_autoencoder(model, dataset, TrainConfig(epochs=1), progress=False)
    assert 0 < measure_information(model, dataset)["bits_per_dim"] < 8


@pytest.mark.parametrize("name", FAMILIES)
def test_the_gradient_reaches_every_parameter(name):
    model = build(name)
    with torch.no_grad():  # layers initialised to zero let nothing through until they have moved
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    model.loss(IMAGES)["total"].backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_the_loss_names_its_terms():
    assert set(build("conv").loss(IMAGES)) == {"total", "reconstruction"}
    assert set(build("vae").loss(IMAGES)) == {"total", "reconstruction", "kl"}


def test_the_vae_reconstructs_from_a_sampled_code():
    model = build("vae")
    with torch.no_grad():
        model.to_log_variance.weight.zero_()
        model.to_log_variance.bias.zero_()  # a variance of one
    with seeded(0):
        drawn = model.loss(IMAGES)["reconstruction"].item()
    with seeded(0), torch.no_grad():
        mean, _ = model.posterior(IMAGES)
        expected = (model.decode(mean + torch.randn_like(mean)) - IMAGES).square().mean()
        without = (model(IMAGES) - IMAGES).square().mean()
    assert drawn == pytest.approx(expected.item(), rel=1e-5)
    assert drawn != pytest.approx(without.item(), rel=1e-4)


def test_the_vae_weighs_its_terms_by_the_optimal_variance():
    terms = build("vae").loss(IMAGES)
    expected = 3072 / 2 * math.log(terms["reconstruction"].item()) + terms["kl"].item()
    assert terms["total"].item() == pytest.approx(expected, rel=1e-5)


def test_the_divergence_is_that_of_torch():
    mean, log_variance = torch.randn(5, 4), torch.randn(5, 4)
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected)


def test_pca_is_exact_and_fitted_once(sample):
    images = sample.x_train[:200]
    pca, flat = fit_pca(images), images.transpose(0, 3, 1, 2).reshape(200, -1) / 255
    singular = np.linalg.svd(flat - flat.mean(0), compute_uv=False)
    assert np.allclose(pca.explained_variance_, np.square(singular[:199]) / 199, rtol=1e-3)
    assert fit_pca(images.copy()) is pca and fit_pca(images[:100]) is not pca


class Wide(ConvAutoencoder):
    latent_dims = (8, 64)

    def __init__(self, latent_dim, width=8):
        super().__init__(latent_dim, width)


def test_a_model_of_ones_own_is_a_class_and_an_entry(monkeypatch):
    monkeypatch.setitem(MODELS, "wide", Wide)
    model = build_autoencoder("wide", 8, width=16)
    assert model.name == "wide" and model.features[1].layers[0].out_channels == 16
    assert network_arguments("wide", {"width": 16, "depth": 4}) == {"width": 16}
    with pytest.raises(ValueError, match="Wide: latent_dim must be one of 8, 64, not 32"):
        build_autoencoder("wide", 32)


def test_an_argument_that_a_model_does_not_take_is_an_error():
    for name in ("conv", "vae", "pca", "features_50"):
        with pytest.raises(TypeError, match="widht"):
            build_autoencoder(name, 7, widht=8)


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("conv", Wide, "'conv' is a model of this repository"),
        ("2024", Wide, "'2024' cannot be a model's name"),
        ("NA", Wide, "'NA' cannot be a model's name"),
        ("a[1]", Wide, "cannot be a model's name"),
        ("wide", lambda latent_dim: Wide(latent_dim), "must be a class, or a functools.partial of one"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(name, entry, message):
    models = Models(**MODELS)
    with pytest.raises(ValueError, match=message):
        models[name] = entry
    assert models == MODELS


@pytest.mark.parametrize("latent_dim", [0, -1, 1025, 2.5, "10", None, True])
def test_a_latent_size_out_of_range_is_refused(latent_dim):
    with pytest.raises(ValueError, match="whole number from 1 to 1024"):
        build_autoencoder("conv", latent_dim)


def test_a_latent_size_of_numpy_is_one_of_python():
    model = build_autoencoder("conv", np.int64(7))
    assert type(model.latent_dim) is int and model.encode(IMAGES).shape == (8, 7)


def test_an_unknown_family_is_refused():
    with pytest.raises(ValueError, match="conv, vae"):
        build_autoencoder("gan", 10)


@pytest.mark.parametrize(("name", "latent_dim"), [("spatial", 64), ("pixels", 10), ("nested", 101), ("pca", 2000)])
def test_a_size_that_a_code_has_not_is_refused(name, latent_dim):
    with pytest.raises(ValueError, match=f"{model_class(name).__name__}: latent_dim must be a whole number"):
        build_autoencoder(name, latent_dim)


@pytest.mark.parametrize("name", MODELS)
def test_wrong_images_are_refused(name):
    model = build(name)
    for images in (
        torch.rand(8, 32, 32, 3),
        torch.rand(3, 32, 32),
        torch.rand(0, 3, 32, 32),
        torch.zeros(2, 3, 32, 32, dtype=torch.uint8),
        255 * torch.rand(2, 3, 32, 32),
        torch.rand(2, 3, 32, 32) - 0.5,
        torch.full((2, 3, 32, 32), math.nan),
        np.zeros((2, 3, 32, 32), np.float32),
    ):
        for method in (model.encode, model.loss, model.forward):
            with pytest.raises(ValueError, match="images must"):
                method(images)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_images_and_codes_of_another_precision_are_taken(name, dtype):
    model, images = build(name), IMAGES.to(dtype)
    z = model.encode(images)
    assert z.dtype == torch.float32
    torch.testing.assert_close(z, model.encode(images.float()))
    if name not in WITH_DECODER:
        return
    assert model.decode(z.to(dtype)).dtype == torch.float32
    assert all(term.isfinite() for term in model.loss(images).values())
    total = model.train().loss(images)["total"]
    if total.requires_grad:
        total.backward()


@pytest.mark.parametrize("codes", [torch.rand(2, 8), torch.rand(7), torch.zeros(2, 7, dtype=torch.int64), [[0.0] * 7]])
def test_wrong_codes_are_refused(codes):
    with pytest.raises(ValueError, match=r"codes must be a float tensor \(N, 7\)"):
        build("conv").decode(codes)


@pytest.mark.parametrize("name", ["conv", "pca", "nested", "pixels"])
@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
def test_codes_that_are_not_finite_are_refused(name, value):
    model = build(name)
    with pytest.raises(ValueError, match="codes must be finite"):
        model.decode(torch.full((2, model.latent_dim), value, dtype=torch.float64))
