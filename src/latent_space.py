"""A look into the code: samples, paths, single units, neighbours, a map. Models are the autoencoders of `src`."""

import numpy as np
import torch
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from src.train import encode_images


@torch.no_grad()
def decode_codes(model, z):
    """The images of codes, float (N, latent_dim), as float32 (N, 32, 32, 3) in [0, 1]."""
    codes = torch.as_tensor(z, dtype=torch.float32, device=next(model.parameters()).device)
    return np.concatenate([model.decode(part).permute(0, 2, 3, 1).cpu().numpy() for part in codes.split(500)])


def sample_images(model, count, seed=0):
    """Images decoded from codes that are drawn from the standard normal prior, (count, 32, 32, 3) in [0, 1]."""
    return decode_codes(model, np.random.default_rng(seed).standard_normal((count, model.latent_dim)))


def interpolate(model, first, second, steps=8):
    """Images on the straight line between the codes of two uint8 images (32, 32, 3), ends included."""
    start, end = encode_images(model, np.stack([first, second]))
    return decode_codes(model, np.linspace(start, end, steps))


def traverse(model, image, unit, values):
    """The decoded image of a uint8 image (32, 32, 3) while one unit of its code takes each of `values`."""
    z = np.repeat(encode_images(model, image[None]), len(values), axis=0)
    z[:, unit] = values
    return decode_codes(model, z)


def strongest_units(model, image, count=5, reach=2.0):
    """The units whose move from -reach to +reach changes the decoded image most, and the squared change of every unit.

    Returns (indices of the `count` strongest, changes float (latent_dim,), mean over pixels and channels).
    """
    ends = np.stack([traverse(model, image, unit, [-reach, reach]) for unit in range(model.latent_dim)])
    changes = np.square(ends[:, 0] - ends[:, 1]).mean(axis=(1, 2, 3))
    return np.argsort(changes)[::-1][:count], changes


def nearest(vectors, queries, count):
    """For every query (M, d), the indices (M, count) of the nearest of `vectors` (N, d) by Euclidean distance."""
    index = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(vectors)
    return index.kneighbors(queries, return_distance=False)


def neighbour_agreement(points, labels, count=10):
    """The share of each point's `count` nearest others that have its label, a mean over all points."""
    neighbours = nearest(points, points, count + 1)[:, 1:]  # the first is the point itself
    return (labels[neighbours] == labels[:, None]).mean()


def map_codes(z, seed=0):
    """t-SNE of codes (N, d) to points in the plane (N, 2) (van der Maaten & Hinton 2008)."""
    return TSNE(init="pca", random_state=seed).fit_transform(z)


def sharpness(images):
    """The mean absolute difference of horizontally adjacent pixels of images in [0, 1]."""
    return np.abs(np.diff(images, axis=2)).mean()
