"""A look into the latent space of a trained autoencoder: samples, paths, single units, nearest neighbours."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from src.encode import decode_codes, encode_images


def sample_images(model, count, seed=0):
    """Images decoded from codes that are drawn from the standard normal prior, float32 (count, 32, 32, 3) in [0, 1]."""
    return decode_codes(model, np.random.default_rng(seed).standard_normal((count, model.latent_dim)))


def interpolate(model, first, second, steps=8):
    """The decoded images of `steps` codes on the straight line between the codes of two uint8 images (32, 32, 3), ends
    included: float32 (steps, 32, 32, 3) in [0, 1].
    """
    start, end = encode_images(model, np.stack([first, second]))
    return decode_codes(model, np.linspace(start, end, steps))


def traverse(model, image, unit, values):
    """The decoded images of the code of a uint8 image (32, 32, 3) while its number `unit` takes each of `values`:
    float32 (len(values), 32, 32, 3) in [0, 1].
    """
    z = np.repeat(encode_images(model, image[None]), len(values), axis=0)
    z[:, unit] = values
    return decode_codes(model, z)


def strongest_units(model, image, count=5):
    """The units of the code whose move from -2 to 2 changes the decoded image of a uint8 image (32, 32, 3) most.

    Returns the indices of the `count` strongest, and the squared change of every unit, float32 (latent_dim,), a mean over
    pixels and channels.
    """
    z = np.repeat(encode_images(model, image[None]), model.latent_dim, axis=0)
    ends = []
    for value in (-2, 2):
        np.fill_diagonal(z, value)
        ends.append(decode_codes(model, z))
    changes = np.square(ends[0] - ends[1]).mean((1, 2, 3))
    return np.argsort(changes)[::-1][:count], changes


def nearest(vectors, queries, count):
    """For every query (M, d), the indices (M, count) of the nearest of `vectors` (N, d) by Euclidean distance."""
    index = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(vectors)
    return index.kneighbors(queries, return_distance=False)
