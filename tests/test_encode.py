import copy
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import same_weights

from src import encode
from src.autoencoder import build_autoencoder
from src.baseline import MODELS, model_class
from src.encode import (
    decode_codes,
    encode_images,
    encode_views,
    random_view,
    reconstruct_images,
    reconstruction_errors,
)


@pytest.fixture(scope="module")
def model(tiny):
    model = build_autoencoder("conv", 5)
    model.initialise(tiny.x_train)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_nothing_changes_a_model(name, tiny):
    sizes = model_class(name).latent_dims
    model = build_autoencoder(name, 5 if 5 in sizes else sizes[0])
    before = copy.deepcopy(model.state_dict())
    z = encode_images(model, tiny.x_test)
    assert z.shape == (100, model.latent_dim) and z.dtype == np.float32
    if name != "supervised":
        rebuilt, errors = reconstruct_images(model, tiny.x_test), reconstruction_errors(model, tiny.x_test)
        assert rebuilt.shape == (100, 32, 32, 3) and rebuilt.min() >= 0 and rebuilt.max() <= 1
        assert np.allclose(errors, np.square(rebuilt - tiny.x_test / 255).mean((1, 2, 3)), atol=1e-6)
    assert same_weights(model, before)


def test_decoded_codes_are_the_reconstruction(model, tiny):
    z, rebuilt = encode_images(model, tiny.x_test), reconstruct_images(model, tiny.x_test)
    for codes in (z, z.tolist(), z.astype(np.float64), torch.from_numpy(z), z[::-1][::-1]):
        assert np.allclose(decode_codes(model, codes), rebuilt, atol=1e-5)
    assert decode_codes(model, z.astype(np.float16)).shape == rebuilt.shape


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
def test_codes_that_are_not_finite_are_refused(model, value):
    with pytest.raises(ValueError, match="codes contains"):
        decode_codes(model, np.full((2, 5), value))


@pytest.mark.parametrize("codes", [np.zeros((2, 6)), np.zeros(5), np.zeros((0, 5)), "codes"])
def test_wrong_codes_are_refused(model, codes):
    with pytest.raises(ValueError):
        decode_codes(model, codes)


def test_any_view_of_images_and_codes_is_taken(model, tiny):
    one = tiny.x_test[:1]
    one.flags.writeable = False
    for images in (tiny.x_test[:, :, ::-1], tiny.x_test[::-1], tiny.x_test[::3], one, one[::-1]):
        z = encode_images(model, images)
        assert np.array_equal(z, encode_images(model, images.copy()))
        assert np.array_equal(decode_codes(model, z[::-1]), decode_codes(model, z[::-1].copy()))


def test_batches_do_not_show(model, tiny, monkeypatch):
    whole = encode_images(model, tiny.x_test), reconstruction_errors(model, tiny.x_test)
    monkeypatch.setattr(encode, "BATCH", 33)
    for before, after in zip(
        whole, (encode_images(model, tiny.x_test), reconstruction_errors(model, tiny.x_test)), strict=True
    ):
        assert np.allclose(before, after, atol=1e-5)


def test_the_first_view_is_the_images_and_the_others_are_shifted_and_mirrored(model, tiny):
    first, second, third = encode_views(model, tiny.x_test, 3)
    assert np.allclose(first, encode_images(model, tiny.x_test), atol=0.1)
    assert not np.allclose(first, second, atol=0.1) and not np.allclose(second, third, atol=0.1)
    again = [views[1] for views in (list(encode_views(model, tiny.x_test, 2, seed)) for seed in (0, np.int64(0), 1))]
    assert np.array_equal(second, again[0]) and np.array_equal(second, again[1])
    assert not np.array_equal(second, again[2])


@pytest.mark.parametrize("shift", [0, 2, 4])
def test_every_image_of_a_view_is_shifted_and_mirrored_or_not_by_itself(shift):
    x = torch.rand(100, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    view, places = random_view(x, torch.Generator().manual_seed(1), shift), range(2 * shift + 1)
    padded, seen = F.pad(x, (shift,) * 4, mode="reflect"), []
    for down, right in itertools.product(places, places):
        shifted = padded[:, :, down : down + 32, right : right + 32]
        for mirrored, expected in enumerate((shifted, shifted.flip(3))):
            seen += [(down, right, mirrored)] * (view == expected).all((1, 2, 3)).sum().item()
    assert len(seen) == 100 and 35 < sum(mirrored for *_, mirrored in seen) < 65
    assert [{place[axis] for place in seen} for axis in (0, 1)] == [{*places}, {*places}]


@pytest.mark.parametrize("images", [np.zeros((2, 32, 32, 3), np.float32), np.zeros((0, 32, 32, 3), np.uint8), [[1]]])
def test_wrong_images_are_refused(model, images):
    for function in (encode_images, reconstruct_images, reconstruction_errors):
        with pytest.raises(ValueError, match="images"):
            function(model, images)
