import numpy as np
import pytest

from src import latent_space
from src.autoencoder import build_autoencoder
from src.encode import decode_codes, encode_images, reconstruct_images


@pytest.fixture(scope="module")
def model(tiny):
    model = build_autoencoder("vae", 6)
    model.initialise(tiny.x_train)
    return model


def test_samples_are_images_and_the_seed_alone_decides_them(model):
    np.random.seed(0)
    first, same, other = (latent_space.sample_images(model, 4, seed) for seed in (0, 0, 1))
    assert first.shape == (4, 32, 32, 3) and first.min() >= 0 and first.max() <= 1
    assert np.array_equal(first, same) and not np.array_equal(first, other)
    after = np.random.rand()
    np.random.seed(0)
    assert np.random.rand() == after


def test_a_path_starts_and_ends_at_the_reconstructions(model, tiny):
    path = latent_space.interpolate(model, *tiny.x_test[:2], steps=5)
    assert path.shape == (5, 32, 32, 3)
    assert np.allclose(path[[0, -1]], reconstruct_images(model, tiny.x_test[:2]), atol=1e-4)
    middle = encode_images(model, tiny.x_test[:2]).mean(0, keepdims=True)
    assert np.allclose(path[2], decode_codes(model, middle)[0], atol=1e-4)


def test_a_traversal_moves_one_unit(model, tiny):
    z = encode_images(model, tiny.x_test[:1])
    path = latent_space.traverse(model, tiny.x_test[0], 2, [z[0, 2], 3.0])
    assert np.allclose(path[0], reconstruct_images(model, tiny.x_test[:1])[0], atol=1e-4)
    z[:, 2] = 3.0
    assert np.allclose(path[1], decode_codes(model, z)[0], atol=1e-4)


def test_the_strongest_units_change_the_image_most(model, tiny):
    units, changes = latent_space.strongest_units(model, tiny.x_test[0], count=3)
    assert changes.shape == (6,) and list(changes[units]) == sorted(changes, reverse=True)[:3]
    for unit, change in enumerate(changes):
        low, high = latent_space.traverse(model, tiny.x_test[0], unit, [-2, 2])
        assert change == pytest.approx(np.square(low - high).mean(), rel=1e-3)


def test_the_nearest_come_in_order():
    points = np.array([[0.0, 0], [0, 1], [9, 9], [9, 8]], dtype=np.float32)
    assert latent_space.nearest(points, points, 2).tolist() == [[0, 1], [1, 0], [2, 3], [3, 2]]
