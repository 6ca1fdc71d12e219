"""What gives the study's numbers a scale, a floor and a ceiling.

PCA, the raw pixels, an encoder that nothing was taught, one that was taught with labels, and the prior work's purely
convolutional code: all are autoencoders by the contract of `autoencoder.py` and are read like all others.
"""

import copy
import math

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from src.autoencoder import IMAGE_SHAPE, PIXELS, WIDTHS, Autoencoder, ConvAutoencoder, fit_pca
from src.train import TrainConfig, random_view, to_batch
from src.utils import AdamW, get_device, mixed_precision, seed_everything

SPATIAL_DIM = 8 * 4 * 4
# What the work that this one replaces reports, from its own notebook: its convolutional autoencoder's error on test
# images, and the accuracy of the classifier on its code, which it trained for CIFAR-10 only.
PRIOR_WORK = pd.DataFrame(
    [
        ("CIFAR10", 10, 0.0210, 0.393),
        ("CIFAR10", 20, 0.0156, 0.450),
        ("CIFAR10", 50, 0.0098, 0.489),
        ("CIFAR10", 100, 0.0067, 0.503),
        ("CIFAR100", 10, 0.0215, None),
        ("CIFAR100", 20, 0.0160, None),
        ("CIFAR100", 50, 0.0101, None),
        ("CIFAR100", 100, 0.0065, None),
    ],
    columns=["dataset", "latent_dim", "test_mse", "accuracy"],
)


class PCACode(Autoencoder):
    """Principal component analysis: the best code that is linear both ways. `prepare` fits it; nothing to train."""

    name = "pca"

    def __init__(self, latent_dim):
        super().__init__(latent_dim)
        self.components = nn.Parameter(torch.zeros(latent_dim, PIXELS), requires_grad=False)
        self.mean = nn.Parameter(torch.zeros(PIXELS), requires_grad=False)

    def prepare(self, images):
        pca = fit_pca(images, min(self.latent_dim, len(images) - 1))
        self.components[: pca.n_components_] = torch.from_numpy(pca.components_)
        self.mean.copy_(torch.from_numpy(pca.mean_))

    def code(self, x):
        return (x.flatten(1) - self.mean) @ self.components.T

    def reconstruct(self, z):
        return (z @ self.components + self.mean).unflatten(1, IMAGE_SHAPE)


class PixelCode(Autoencoder):
    """The image itself as a code of 3,072 numbers: nothing is lost, and nothing is learnt."""

    name = "pixels"
    linear_penalty = 1e-3  # accuracy on validation, CIFAR-10: 37.8 % at 1e-5, 40.7 % at 1e-4, 41.4 % here

    def __init__(self, latent_dim=PIXELS):
        if latent_dim != PIXELS:
            raise ValueError(f"the pixels of an image are {PIXELS} numbers, not {latent_dim}")
        nn.Module.__init__(self)  # past the limit on the size of a code
        self.latent_dim = latent_dim
        self.mean = nn.Parameter(torch.zeros(()), requires_grad=False)  # what tells the device that the model is on

    def code(self, x):
        return x.flatten(1)

    def reconstruct(self, z):
        return z.unflatten(1, IMAGE_SHAPE)


class RandomEncoder(ConvAutoencoder):
    """The floor: the convolutional autoencoder's encoder with the weights that it is born with."""

    name = "random"

    def prepare(self, images):
        self.requires_grad_(False)  # nothing to train


class SupervisedEncoder(ConvAutoencoder):
    """The ceiling: a wider encoder of the same kind, trained with labels through the same bottleneck (by `train_supervised`).

    Right on validation images of CIFAR-10, read by the MLP: 62.1 and 65.1 % at d = 10 and 100 with 32 channels, 66.9 and
    68.8 % with these 64.
    """

    name = "supervised"

    def __init__(self, latent_dim):
        super().__init__(latent_dim, widths=(64, WIDTHS[1]))


class SpatialAutoencoder(Autoencoder):
    """The prior work's baseline: convolutions alone, down to a code of 8 channels of 4 x 4, 128 numbers."""

    name = "spatial"

    def __init__(self, latent_dim=SPATIAL_DIM):
        super().__init__(latent_dim)
        if latent_dim != SPATIAL_DIM:
            raise ValueError(f"the spatial code has 8 x 4 x 4 = {SPATIAL_DIM} numbers, not {latent_dim}")
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

    def code(self, x):
        return self.encoder(x)

    def reconstruct(self, z):
        return self.decoder(z)


def _conv(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()


class FineTunedCode(SpatialAutoencoder):
    """The same code once its encoder has been trained on with labels (by `fine_tune`)."""

    name = "spatial_finetuned"


BASELINES = {
    code.name: code
    for code in (PCACode, PixelCode, RandomEncoder, SupervisedEncoder, SpatialAutoencoder, FineTunedCode)
}


class FineTunedClassifier(nn.Module):
    """A softmax layer on an autoencoder's code, both free to move: labels reach the encoder. Takes image batches."""

    def __init__(self, autoencoder, n_classes):
        super().__init__()
        self.autoencoder = autoencoder
        self.head = nn.Linear(autoencoder.latent_dim, n_classes)

    def forward(self, x):
        return self.head(self.autoencoder.encode(x))


def train_supervised(latent_dim, dataset, config=TrainConfig(), seed=0):
    """A SupervisedEncoder that starts at the principal components, as the others do, and learns from labels alone."""
    seed_everything(seed)
    model = SupervisedEncoder(latent_dim)
    model.prepare(dataset.split("train")[0])
    return fine_tune(model, dataset, config, seed).autoencoder


def fine_tune(autoencoder, dataset, config=TrainConfig(), seed=0):
    """Train a copy of an autoencoder's encoder with a softmax layer on the labels of the training split.

    Images are moved and mirrored as they are for the readers of a code.
    """
    seed_everything(seed)
    rng = np.random.default_rng(seed)
    device = get_device()
    model = FineTunedClassifier(copy.deepcopy(autoencoder), len(dataset.classes)).to(device)
    images, labels = dataset.split("train")
    steps = config.epochs * math.ceil(len(images) / config.batch_size)
    optimizer = AdamW(model.parameters(), weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps)
    for _ in range(config.epochs):
        for indices in torch.randperm(len(images)).split(config.batch_size):
            x = to_batch(random_view(images[indices.numpy()], rng), device)
            y = torch.from_numpy(labels[indices.numpy()]).to(device)
            with mixed_precision(device):
                loss = F.cross_entropy(model(x).float(), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()
