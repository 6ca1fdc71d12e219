"""The autoencoders. They share one backbone and one contract, so that what differs between them is the objective.

The contract: `encode(x)` -> z (N, d), the same for the same images; `decode(z)` -> x (N, 3, 32, 32) in [0, 1];
`loss(x)` -> the terms of the objective by name, of which `total` is minimised. Images are float32 (N, 3, 32, 32)
in [0, 1]; z is float32. Nothing outside this file needs to know which model it holds.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from torch import nn

from src.utils import add_noise, in_precision

IMAGE_SHAPE = (3, 32, 32)
PIXELS = math.prod(IMAGE_SHAPE)  # numbers in an image: 3,072
MAX_LATENT_DIM = 1024
WIDTHS = 16, 32  # channels of the encoder's convolutions and of the decoder's, which do more against the error
PCA_IMAGES = 5_000  # enough to start from: training moves the linear path to where it belongs


class Autoencoder(nn.Module):
    """The contract; a subclass supplies `name`, `code` and `reconstruct`, and `loss` where it is not the MSE."""

    linear_penalty = 1.0  # that suits a linear reader of the code: see `train_linear_classifier`

    def __init__(self, latent_dim):
        super().__init__()
        self.latent_dim = check_latent_dim(latent_dim)

    def encode(self, x):
        """The code of images, float32 (N, latent_dim); deterministic."""
        return self.code(check_batch(x))

    def decode(self, z):
        """The images of codes, float32 (N, 3, 32, 32) in [0, 1]."""
        return self.reconstruct(check_codes(z, self.latent_dim)).clamp(0, 1)

    def loss(self, x):
        """The terms of the objective by name, means over the images of `x`; `total` is the one to minimise."""
        error = F.mse_loss(self.reconstruct(self.encode(x)).float(), x)
        return {"total": error, "reconstruction": error}

    def prepare(self, images):
        """Called once, before training, with the uint8 training images (N, 32, 32, 3)."""

    def code(self, x):
        """`encode` for images that are known to be good."""
        raise NotImplementedError

    def reconstruct(self, z):
        """`decode` without the limit to [0, 1], which would stop the gradient of every pixel beyond it."""
        raise NotImplementedError


class Refinement(nn.Module):
    """Patches in, patches out, float (N, 48, 8, 8): adds what convolutions make of them, at first nothing.

    Hard swish (Howard et al. 2019, https://arxiv.org/abs/1905.02244) leaves the error that a GELU leaves, in a third of its time.
    """

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(48, width, 1),
            nn.Hardswish(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.Hardswish(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.Hardswish(),
            nn.Conv2d(width, 48, 1),
        )
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, x):
        # inputs centred and spread as layers want them; the factor keeps the optimiser's first steps small: without it
        # the encoder's convolutions spoil the code (validation error at d = 100 after 2 epochs, with 64 channels: .0061, with it .0053)
        # in few passes over what are the largest arrays here: with one for each operation, to encode takes a tenth longer
        return torch.add(x, self.layers((x - 0.5).mul_(4)), alpha=0.1)


def to_patches(x):
    """Images (N, 3, 32, 32) as (N, 48, 8, 8), a channel for each number of a patch of 4 x 4 pixels, channels last."""
    # the network works on patches throughout, one copy in and one out: shuffled around every block, an epoch takes a fifth longer
    pixels = x.permute(0, 2, 3, 1).reshape(-1, 8, 4, 8, 4, 3).transpose(2, 3)
    return pixels.reshape(-1, 8, 8, 48).permute(0, 3, 1, 2)


def from_patches(patches):
    """The images, (N, 3, 32, 32), of which `to_patches` made (N, 48, 8, 8)."""
    pixels = patches.permute(0, 2, 3, 1).reshape(-1, 8, 8, 4, 4, 3).transpose(2, 3)
    return pixels.reshape(-1, 32, 32, 3).permute(0, 3, 1, 2)


class ConvAutoencoder(Autoencoder):
    """Minimises the mean squared error of the reconstruction, and nothing else.

    Image -> convolutions -> linear map -> code -> linear map -> convolutions -> image. The linear maps start at the
    principal components, the best linear code there is, and the convolutions at the identity, so that training only
    has to learn what linear algebra cannot give. `scale` holds the standard deviations of the principal component
    scores: codes start with unit variance, as a variational prior wants them. `widths` are the channels of the
    convolutions in the encoder and in the decoder.
    """

    name = "conv"

    def __init__(self, latent_dim, widths=WIDTHS):
        super().__init__(latent_dim)
        self.refine_input = Refinement(widths[0])
        self.to_code = nn.Linear(PIXELS, latent_dim)
        self.to_image = nn.Linear(latent_dim, PIXELS)
        self.refine_output = Refinement(widths[1])
        self.register_buffer("scale", torch.ones(latent_dim))

    def code(self, x):
        return self.to_code(self.refine(x)) / self.scale

    def reconstruct(self, z):
        patches = self.to_image(z * self.scale).unflatten(1, (8, 8, 48)).permute(0, 3, 1, 2)
        return from_patches(self.refine_output(patches))

    def refine(self, x):
        """What the encoder's linear maps see of images: the refined patches, one after the other, (N, 3072)."""
        return self.refine_input(to_patches(in_precision(x))).permute(0, 2, 3, 1).flatten(1)

    def prepare(self, images):
        """Start at the principal components of `images`; units beyond their number keep their random start."""
        # two power iterations find the variance of the exact solution but for 0.3 %, in a third of the time
        self.start_at(fit_pca(images[:PCA_IMAGES], min(len(self.scale), len(images) - 1), iterations=2))

    @torch.no_grad()
    def start_at(self, pca):
        directions, mean, std = _tensors(pca.components_, pca.mean_[None], np.sqrt(pca.explained_variance_))
        directions, mean = (
            to_patches(flat.unflatten(1, IMAGE_SHAPE)).permute(0, 2, 3, 1).flatten(1) for flat in (directions, mean)
        )
        units = len(directions)
        self.scale[:units] = std.clamp(min=1e-3)
        self.to_code.weight[:units] = directions
        self.to_code.bias[:units] = -directions @ mean[0]
        self.to_image.weight[:, :units] = directions.T
        self.to_image.bias.copy_(mean[0])


class VariationalAutoencoder(ConvAutoencoder):
    """Maximises a bound on the likelihood of the images (Kingma & Welling 2014, https://arxiv.org/abs/1312.6114).

    The decoder's variance is solved for, not assumed: at its optimum the reconstruction term is D/2 log MSE (the
    sigma-VAE of Rybkin et al. 2021, https://arxiv.org/abs/2006.13202), so that the balance between image and code
    needs no weight. It starts at the posterior of probabilistic PCA (Tipping & Bishop 1999), its linear optimum.
    `encode` gives the posterior's mean. In the loss, `reconstruction` is the mean squared error from a sampled code,
    `kl` is in nats an image, and `total` is in nats an image up to a constant.
    """

    name = "vae"

    def __init__(self, latent_dim):
        super().__init__(latent_dim)
        self.log_variance = nn.Linear(PIXELS, latent_dim)

    def posterior(self, x):
        """Mean and log variance of the code given images, each float32 (N, latent_dim)."""
        refined = self.refine(check_batch(x))
        return (self.to_code(refined) / self.scale).float(), self.log_variance(refined).float()

    def loss(self, x):
        mean, log_variance = self.posterior(x)
        z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        error = F.mse_loss(self.reconstruct(z).float(), x)
        kl = kl_divergence(mean, log_variance).sum(1).mean()
        return {"total": PIXELS / 2 * error.log() + kl, "reconstruction": error, "kl": kl}

    @torch.no_grad()
    def start_at(self, pca):
        super().start_at(pca)
        (variance,) = _tensors(pca.explained_variance_)
        self.log_variance.weight.zero_()
        self.log_variance.bias[: len(variance)] = (pca.noise_variance_ / variance.clamp(min=1e-6)).clamp(1e-6, 1).log()


class DenoisingAutoencoder(ConvAutoencoder):
    """Rebuilds the clean image from a noisy one (Vincent et al. 2008, https://doi.org/10.1145/1390156.1390294).

    `noise` is the standard deviation of the normal noise on pixels in [0, 1], drawn anew for every batch.
    """

    name = "denoising"

    def __init__(self, latent_dim, noise=0.2):
        super().__init__(latent_dim)
        self.noise = check_noise(noise)

    def loss(self, x):
        error = F.mse_loss(self.reconstruct(self.code(add_noise(check_batch(x), self.noise))).float(), x)
        return {"total": error, "reconstruction": error}


def kl_divergence(mean, log_variance):
    """Divergence of a normal posterior from the standard normal prior, in nats, a value a unit."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def bits_per_dimension(kl, error, variance):
    """A VAE's bound on the code length of 8-bit images, in bits per number of the image.

    `kl` in nats an image, `error` the mean squared error from a sampled code and `variance` the decoder's, both for
    images in [0, 1]. The normal density is averaged over each pixel's bin of width 1/255, which bounds the bin's
    probability by Jensen's inequality and adds the variance of a uniform variable to the error.
    """
    error = error + 1 / (12 * 255**2)
    nats = PIXELS / 2 * (math.log(2 * math.pi * variance) + error / variance) + kl
    return nats / PIXELS / math.log(2) + math.log2(255)


def fit_pca(images, components, iterations="auto"):
    """scikit-learn's PCA of uint8 images (N, 32, 32, 3), on pixels in [0, 1] in the order of a model's batch."""
    flat = images.transpose(0, 3, 1, 2).reshape(len(images), PIXELS).astype(np.float32) / 255
    solver = {"svd_solver": "randomized", "iterated_power": iterations, "random_state": 0}
    return PCA(components, **solver).fit(flat)


def _tensors(*arrays):
    return tuple(torch.from_numpy(array).float() for array in arrays)


AUTOENCODERS = {model.name: model for model in (ConvAutoencoder, VariationalAutoencoder, DenoisingAutoencoder)}


def build_autoencoder(name, latent_dim):
    """A new autoencoder of the family `name` with a code of `latent_dim` numbers, 1 to 1,024."""
    if name not in AUTOENCODERS:
        raise ValueError(f"unknown autoencoder {name!r}: choose one of {', '.join(AUTOENCODERS)}")
    return AUTOENCODERS[name](latent_dim)


def check_latent_dim(latent_dim):
    """`latent_dim` where it is a whole number from 1 to 1,024; else a ValueError."""
    is_whole = isinstance(latent_dim, int) and not isinstance(latent_dim, bool)
    if not is_whole or not 1 <= latent_dim <= MAX_LATENT_DIM:
        raise ValueError(f"latent_dim must be a whole number from 1 to {MAX_LATENT_DIM}, not {latent_dim!r}")
    return latent_dim


def check_noise(noise):
    """`noise` where it is a finite number of at least 0; else a ValueError."""
    if not isinstance(noise, (int, float)) or isinstance(noise, bool) or not 0 <= noise < math.inf:
        raise ValueError(f"noise must be a finite standard deviation of at least 0, not {noise!r}")
    return noise


def check_batch(x):
    """`x` where it is a float batch of images (N, 3, 32, 32) in [0, 1]; else a ValueError."""
    if not isinstance(x, torch.Tensor) or not x.is_floating_point() or x.shape[1:] != IMAGE_SHAPE or len(x) == 0:
        given = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, torch.Tensor) else type(x).__name__
        raise ValueError(f"images must be a float tensor (N, 3, 32, 32) with N > 0, not {given}")
    low, high = x.aminmax()
    if not (low >= 0 and high <= 1):  # written so that NaN fails too
        raise ValueError(f"images must lie in [0, 1], not in [{low:.4g}, {high:.4g}]; divide uint8 images by 255")
    return x


def check_codes(z, latent_dim):
    """`z` where it is a float batch of codes (N, latent_dim); else a ValueError."""
    if not isinstance(z, torch.Tensor) or not z.is_floating_point() or z.ndim != 2 or z.shape[1] != latent_dim:
        given = f"{z.dtype} {tuple(z.shape)}" if isinstance(z, torch.Tensor) else type(z).__name__
        raise ValueError(f"codes must be a float tensor (N, {latent_dim}), not {given}")
    return z
