from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ONCE, same_weights

from src.autoencoder import build_autoencoder
from src.encode import encode_images, encode_views, reconstruction_errors
from src.features import learn_features, strong_view
from src.train import train_autoencoder
from src.utils import seeded

NAMES = ("features", "features_50")
WITH_NETWORK = ("self_supervised", "both", "both_50")


def start(name, latent_dim, images, seed=0):
    model = build_autoencoder(name, latent_dim, seed)
    with seeded(seed):
        model.initialise(images)
    return model


def test_smaller_codes_are_the_first_numbers_of_the_largest(tiny):
    z = encode_images(start("features", 100, tiny.x_train), tiny.x_test)
    for size in (1, 7, 50):
        assert np.array_equal(encode_images(start("features", size, tiny.x_train), tiny.x_test), z[:, :size])


@pytest.mark.parametrize(("name", "pixels"), zip(NAMES, (0, 5), strict=True))
def test_a_part_of_the_code_starts_at_the_principal_components_and_the_rest_is_features(name, pixels, tiny):
    model, pca = start(name, 10, tiny.x_train), start("pca", 10, tiny.x_train)
    z, scores = encode_images(model, tiny.x_test), encode_images(pca, tiny.x_test)[:, :pixels]
    assert model.pixel_count == pixels
    assert np.allclose(z[:, :pixels] * model.scale[:pixels].numpy(), scores, atol=1e-4)
    expected = encode_images(start("features", 10 - pixels, tiny.x_train), tiny.x_test)
    assert np.array_equal(z[:, pixels:], expected)


def test_the_code_is_the_same_image_by_image_and_from_features_that_are_known(tiny):
    model, images = start("features_50", 10, tiny.x_train), tiny.x_train[::-1]
    z = encode_images(model, images)
    one_by_one = [encode_images(model, images[i : i + 1]) for i in range(5)]
    assert np.allclose(np.concatenate(one_by_one), z[:5], atol=1e-4)
    (known,) = encode_views(start("features", 100, tiny.x_train), images, 1)
    (with_known,) = encode_views(model, images, 1, features={"patch_features": [known]})
    assert np.array_equal(with_known, next(encode_views(model, images, 1)))


def test_features_that_a_model_was_given_are_kept(tiny):
    given = learn_features("patch_features", tiny.x_train[:100], seed=3)
    model = build_autoencoder("features", 5)
    model.patch_features.load_state_dict(given.state_dict())
    train_autoencoder(model, tiny, ONCE, progress=False)
    assert same_weights(model.patch_features, given)


def test_another_seed_and_other_images_have_features_of_their_own(tiny):
    first, same, other = (start("features", 5, tiny.x_train, seed) for seed in (0, 0, 1))
    assert same_weights(first.patch_features, same.patch_features)
    for model in (other, start("features", 5, tiny.x_train[:100])):
        assert not torch.equal(model.patch_features.fine.centres, first.patch_features.fine.centres)
        assert not np.allclose(encode_images(model, tiny.x_train), encode_images(first, tiny.x_train), atol=0.1)


@pytest.mark.parametrize("name", ["features", "features_50"])
def test_training_leaves_the_features_and_never_sees_a_label(name, tiny):
    images, _ = tiny.split("train")
    before, model, other = start(name, 10, images), build_autoencoder(name, 10), build_autoencoder(name, 10)
    history = train_autoencoder(model, tiny, ONCE, progress=False)
    train_autoencoder(other, replace(tiny, y_train=np.zeros_like(tiny.y_train)), ONCE, progress=False)
    assert len(history) == 1 and same_weights(model, other)
    assert same_weights(model.patch_features, before.patch_features)
    assert not same_weights(model.refine, before.refine) and not same_weights(model.to_image, before.to_image)
    assert same_weights(model.to_code, before.to_code) == same_weights(model.features, before.features)
    assert same_weights(model.to_code, before.to_code) == (name == "features")


@pytest.mark.parametrize("name", NAMES)
def test_it_starts_at_a_lower_error_than_the_mean_image(name, sample):
    images = sample.x_train[:500]
    assert reconstruction_errors(start(name, 10, images), images).mean() < (images / 255).var(0).mean()


def test_a_strong_view_is_an_image(tiny):
    for x in (torch.rand(50, 3, 32, 32), torch.ones(50, 3, 32, 32), torch.zeros(50, 3, 32, 32)):
        view = strong_view(x)
        assert view.shape == x.shape and view.min() >= 0 and view.max() <= 1
        assert torch.equal(view, x) == (x.max() == 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("latent_dim", [0, 101])
def test_a_size_that_the_code_has_not_is_refused(name, latent_dim):
    with pytest.raises(ValueError, match="FeatureAutoencoder: latent_dim must be a whole number from 1 to 100"):
        build_autoencoder(name, latent_dim)


@pytest.mark.parametrize(
    ("name", "size", "pixels", "patches", "of_network"),
    [
        ("self_supervised", 30, 0, 0, 30), ("both", 10, 0, 0, 10), ("both", 30, 0, 15, 15),
        ("both_50", 10, 5, 0, 5), ("both_50", 30, 15, 5, 10), ("both_50", 60, 30, 15, 15),
    ],
)  # fmt: skip
def test_a_code_has_pixels_then_patches_then_numbers_of_the_network(name, size, pixels, patches, of_network, tiny):
    model = start(name, size, tiny.x_train)
    z = encode_images(model, tiny.x_test)
    assert model.pixel_count == pixels and z.shape == (100, size)
    alone = {
        kind: encode_images(start(kind, size, tiny.x_train), tiny.x_test) for kind in ("features", "self_supervised")
    }
    assert np.allclose(z[:, pixels + patches :], alone["self_supervised"][:, :of_network], atol=1e-5)
    assert np.array_equal(z[:, pixels : pixels + patches], alone["features"][:, :patches])


@pytest.mark.parametrize("name", WITH_NETWORK)
def test_training_leaves_the_network_as_it_was(name, tiny):
    before, model = start(name, 10, tiny.split("train")[0]), build_autoencoder(name, 10)
    train_autoencoder(model, tiny, ONCE, progress=False)
    assert same_weights(model.network_features, before.network_features)


def test_known_features_of_both_kinds_make_the_same_code(tiny):
    model = start("both_50", 30, tiny.x_train)
    kinds = {"patch_features": "features", "network_features": "self_supervised"}
    known = {kind: list(encode_views(start(name, 100, tiny.x_train), tiny.x_train, 2)) for kind, name in kinds.items()}
    with_known = list(encode_views(model, tiny.x_train, 2, features=known))
    for z, expected in zip(with_known, encode_views(model, tiny.x_train, 2), strict=True):
        assert np.allclose(z, expected, atol=1e-5)


@pytest.mark.parametrize("part", [-0.1, 1.1])
def test_parts_that_are_none_are_refused(part):
    with pytest.raises(ValueError, match="of_network must be from 0 to 1"):
        build_autoencoder("both", 10, of_network=part)


def test_the_decoder_of_a_frozen_code_is_trained_on_images_and_mirror_images(tiny, monkeypatch):
    model, seen = start("features", 10, tiny.split("train")[0]), []
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda z: seen.append(z.detach().clone()) or decode(z))
    train_autoencoder(model, tiny, ONCE, progress=False)
    images = tiny.split("train")[0]
    known = torch.from_numpy(np.concatenate([encode_images(model, x) for x in (images, images[:, :, ::-1])]))
    trained_on = torch.cat(seen[:3])  # batches of the only epoch
    found = torch.cdist(trained_on, known).argmin(1)
    assert torch.equal(known[found], trained_on) and len(set(found.tolist())) == len(images)
    assert 40 < (found >= len(images)).sum() < 140
