"""What gives the study's numbers a scale: PCA, raw pixels, a random and a supervised encoder, the prior work.

And MODELS, the one place where an autoencoder or a baseline is entered under its name.
"""

import inspect
import re
from functools import partial

import pandas as pd
import torch
from torch import nn

from src.autoencoder import (
    IMAGE_SHAPE,
    PIXELS,
    Autoencoder,
    ConvAutoencoder,
    DenoisingAutoencoder,
    VariationalAutoencoder,
    fit_pca,
)
from src.features import FeatureAutoencoder
from src.objectives import MaskedAutoencoder, NestedAutoencoder

# What the prior work, Autoencoder-classifier_CIFAR, reports in its own notebook: the error of its convolutional autoencoder
# on test images, and the accuracy of the classifier on its code, which it trained for CIFAR-10 only.
PRIOR_WORK = pd.DataFrame(
    {
        "dataset": ["CIFAR10"] * 4 + ["CIFAR100"] * 4,
        "latent_dim": [10, 20, 50, 100] * 2,
        "test_mse": [0.0210, 0.0156, 0.0098, 0.0067, 0.0215, 0.0160, 0.0101, 0.0065],
        "accuracy": [0.393, 0.450, 0.489, 0.503] + [None] * 4,
    }
)

# The published autoencoders of the University of Amsterdam's deep-learning tutorial 9 (500 epochs), https://uvadlc-notebooks.readthedocs.io,
# measured with `evaluate` on test images of CIFAR-10. The networks have about a third of our parameters.
TUTORIAL = pd.DataFrame(
    {
        "dataset": ["CIFAR10"] * 4,
        "latent_dim": [64, 128, 256, 384],
        "test_mse": [0.00703, 0.00404, 0.00204, 0.00126],
        "accuracy_mlp": [0.622, 0.650, 0.669, 0.663],
    }
)


class PCACode(Autoencoder):
    """Principal component analysis, the best linear code. As of every model, what it decodes is clipped to [0, 1].

    That makes it a slightly stronger baseline than scikit-learn's own reconstruction.
    """

    stages = ()

    def __init__(self, latent_dim):
        super().__init__(latent_dim)
        self.components = nn.Parameter(torch.zeros(latent_dim, PIXELS), requires_grad=False)
        self.mean = nn.Parameter(torch.zeros(PIXELS), requires_grad=False)

    def initialise(self, images):
        pca = fit_pca(images)
        found = torch.from_numpy(pca.components_[: self.latent_dim])
        self.components[: len(found)] = found
        self.mean.copy_(torch.from_numpy(pca.mean_))

    def encoder(self, x):
        return (x.flatten(1) - self.mean) @ self.components.T

    def decoder(self, z):
        return (z @ self.components + self.mean).unflatten(1, IMAGE_SHAPE)


class PixelCode(Autoencoder):
    """The image itself as a code of 3,072 numbers."""

    latent_dims = (PIXELS,)
    stages = ()
    inverse_penalty = 1e-3  # 3,072 numbers need more penalty than the codes do

    def encoder(self, x):
        return x.flatten(1)

    def decoder(self, z):
        return z.unflatten(1, IMAGE_SHAPE)


class RandomStart(ConvAutoencoder):
    """What the start at the principal components adds: training from a random initialisation, at rates that were searched for it."""

    trained_with = "random_start"

    def initialise(self, images):
        """Keep the random initialisation."""


class RandomEncoder(RandomStart):
    """What no training gives: the convolutional autoencoder's encoder at its random initialisation."""

    stages = ()
    has_decoder = False


class SupervisedNetwork(nn.Module):
    """A convolutional network in the layout of airbench (Jordan 2024, https://arxiv.org/abs/2404.00498).

    Takes images, float (N, 3, 32, 32) in [0, 1]; gives float (N, outputs).
    """

    def __init__(self, outputs):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 24, 2), nn.GELU(),  # (3, 32, 32) -> (24, 31, 31)
            *_group(24, 64),  # -> (64, 15, 15)
            *_group(64, 256),  # -> (256, 7, 7)
            *_group(256, 256),  # -> (256, 3, 3)
            nn.MaxPool2d(3), nn.Flatten(),  # -> (256)
            nn.Linear(256, outputs),
        )  # fmt: skip

    def forward(self, images):
        return self.layers(4 * (images - 0.5))


def _group(inputs, outputs):
    return (
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(outputs), nn.GELU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.GELU(),
    )  # fmt: skip


class SupervisedEncoder(Autoencoder):
    """What labels give: a network that is trained with labels through the same bottleneck."""

    stages = ("labels",)
    trained_with = "supervised"
    has_decoder = False

    def __init__(self, latent_dim):
        super().__init__(latent_dim)
        self.encoder = SupervisedNetwork(latent_dim)

    def decode(self, z):
        raise ValueError("the supervised encoder has no decoder")


class SpatialAutoencoder(Autoencoder):
    """The prior work's baseline: convolutions alone, down to a code of 8 channels of 4 x 4 positions, 128 numbers."""

    latent_dims = (8 * 4 * 4,)
    trained_with = "baseline"

    def __init__(self, latent_dim):
        super().__init__(latent_dim)
        self.encoder = nn.Sequential(
            *_conv(3, 16), nn.MaxPool2d(2),  # (3, 32, 32) -> (16, 16, 16)
            *_conv(16, 8), nn.MaxPool2d(2),  # -> (8, 8, 8)
            *_conv(8, 8), nn.MaxPool2d(2),  # -> (8, 4, 4)
            nn.Flatten(),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (8, 4, 4)),
            *_conv(8, 8), nn.Upsample(scale_factor=2),  # (8, 4, 4) -> (8, 8, 8)
            *_conv(8, 8), nn.Upsample(scale_factor=2),  # -> (8, 16, 16)
            *_conv(8, 16), nn.Upsample(scale_factor=2),  # -> (16, 32, 32)
            nn.Conv2d(16, 3, 3, padding=1), nn.Sigmoid(),  # -> (3, 32, 32)
        )  # fmt: skip


def _conv(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()


class FineTunedCode(SpatialAutoencoder):
    """The same code once its encoder has been trained on with labels."""

    stages = ("reconstruction", "labels")
    has_decoder = False


class Models(dict):
    """Constructors by name. A name of this repository, and a name that could be read as something else, are refused."""

    def __init__(self, **constructors):
        super().__init__(constructors)
        self.of_the_repository = frozenset(constructors)

    def __setitem__(self, name, constructor):
        if name in self.of_the_repository:
            raise ValueError(f"{name!r} is a model of this repository; give yours another name")
        if not re.fullmatch(r"[A-Za-z][\w-]*", name) or name.lower() in ("na", "nan", "null", "none"):
            raise ValueError(f"{name!r} cannot be a model's name; take a letter, then letters, digits, - and _")
        if not isinstance(getattr(constructor, "func", constructor), type):
            raise ValueError(f"{name!r} must be a class, or a functools.partial of one, not {constructor!r}")
        super().__setitem__(name, constructor)


MODELS = Models(
    conv=ConvAutoencoder,
    vae=VariationalAutoencoder,
    denoising=DenoisingAutoencoder,
    masked=MaskedAutoencoder,
    nested=NestedAutoencoder,
    features=FeatureAutoencoder,
    self_supervised=partial(FeatureAutoencoder, of_network=1.0),
    both=partial(FeatureAutoencoder, of_network=0.5),
    both_50=partial(FeatureAutoencoder, share=0.5, of_network=0.5),
    features_50=partial(FeatureAutoencoder, share=0.5),
    pca=PCACode,
    pixels=PixelCode,
    random_start=RandomStart,
    random=RandomEncoder,
    supervised=SupervisedEncoder,
    spatial=SpatialAutoencoder,
    spatial_finetuned=FineTunedCode,
)


def model_class(name):
    """The class of a model by its name."""
    return getattr(MODELS[name], "func", MODELS[name])  # a partial's is its function


def network_arguments(name, network):
    """Those of `network`, a dict such as {"width": 32, "depth": 2}, that the constructor of a model takes."""
    parameters = inspect.signature(MODELS[name]).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return {key: value for key, value in network.items() if takes_all or key in parameters}
