import numpy as np
import pytest
import torch

from src import latent_space
from src.autoencoder import build_autoencoder
from src.train import encode_images, reconstruct_images


@pytest.fixture(scope="module")
def model(tiny):
    torch.manual_seed(0)
    model = build_autoencoder("vae", 6)
    model.prepare(tiny.x_train)
    return model.eval()


def test_samples_are_images_and_the_seed_decides_them(model):
    first, same, other = (latent_space.sample_images(model, 4, seed) for seed in (0, 0, 1))
    assert first.shape == (4, 32, 32, 3) and first.min() >= 0 and first.max() <= 1
    assert np.array_equal(first, same) and not np.array_equal(first, other)


def test_a_path_starts_and_ends_at_the_reconstructions(model, tiny):
    path = latent_space.interpolate(model, *tiny.x_test[:2], steps=5)
    ends = reconstruct_images(model, tiny.x_test[:2])
    assert path.shape == (5, 32, 32, 3)
    assert np.allclose(path[[0, -1]], ends, atol=1e-4)


def test_a_traversal_moves_one_unit(model, tiny):
    z = encode_images(model, tiny.x_test[:1])
    path = latent_space.traverse(model, tiny.x_test[0], 2, [z[0, 2], 3.0])
    assert np.allclose(path[0], reconstruct_images(model, tiny.x_test[:1])[0], atol=1e-4)
    z[:, 2] = 3.0
    assert np.allclose(path[1], latent_space.decode_codes(model, z)[0], atol=1e-4)


def test_the_strongest_units_change_the_image_most(model, tiny):
    units, changes = latent_space.strongest_units(model, tiny.x_test[0], count=3)
    assert changes.shape == (6,) and list(changes[units]) == sorted(changes, reverse=True)[:3]


def test_neighbours_and_their_agreement():
    points = np.array([[0.0, 0], [0, 1], [9, 9], [9, 8]], dtype=np.float32)
    assert latent_space.nearest(points, points, 2).tolist() == [[0, 1], [1, 0], [2, 3], [3, 2]]
    assert latent_space.neighbour_agreement(points, np.array([0, 0, 1, 1]), count=1) == 1
    assert latent_space.neighbour_agreement(points, np.array([0, 1, 1, 1]), count=1) == 0.5


def test_the_map_is_in_the_plane_and_repeatable():
    z = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
    points = latent_space.map_codes(z)
    assert points.shape == (60, 2) and np.array_equal(points, latent_space.map_codes(z))


def test_sharpness_is_the_difference_of_neighbours():
    images = np.zeros((2, 4, 4, 3))
    assert latent_space.sharpness(images) == 0
    images[:, :, ::2] = 1
    assert latent_space.sharpness(images) == 1
