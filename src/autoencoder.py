"""The autoencoders. They share one contract and one network, so that what differs between them is the loss.

The contract: `encode(x)` gives the latent codes z (N, d), the same for the same images; `decode(z)` the images of codes,
(N, 3, 32, 32) in [0, 1]; `forward(x)` is `decode(encode(x))`; `loss(x)` gives the terms of the loss by name, of which
`total` is minimised. Images are float (N, 3, 32, 32) in [0, 1], codes float (N, d); what comes out is float32.

A new autoencoder is a subclass and an entry in MODELS of `src.baseline`; its label and colour are an entry in LOOKS of
`src.report.style`.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from torch import nn

from src.utils import describe, fingerprint, seeded, whole_number

IMAGE_SHAPE = (3, 32, 32)
PIXELS = math.prod(IMAGE_SHAPE)  # numbers in an image: 3,072
MAX_LATENT_DIM = 1024
_PCA = {}  # the last four that were fitted, by the fingerprint of their images: all latent sizes share one


class Autoencoder(nn.Module):
    """The contract. A subclass supplies `encoder` and `decoder`, and overrides `loss` where it is not the MSE."""

    latent_dims = range(1, MAX_LATENT_DIM + 1)  # the sizes that its code can have
    # how it is trained, in order, by names in STAGES of src.train; () where in closed form
    stages = ("reconstruction",)
    trained_with = "train"  # which of a study's settings
    further_code = ()  # modules that its results depend on, beside those of its class
    one_training = False  # whether one training serves all sizes, which have the same weights
    has_decoder = True  # False where nothing has learnt to decode the code
    inverse_penalty = 1.0  # that suits a linear probe of the code (scikit-learn's C)

    def __init__(self, latent_dim):
        super().__init__()
        self.name = type(self).__name__  # `build_autoencoder` puts the name in MODELS here
        self.latent_dim = self.check_latent_dim(latent_dim)

    @classmethod
    def check_latent_dim(cls, latent_dim):
        """`latent_dim` as an int where the code can have that size; else a ValueError."""
        name = f"{cls.__name__}: latent_dim"
        latent_dim = whole_number(latent_dim, name, min(cls.latent_dims), max(cls.latent_dims))
        if latent_dim not in cls.latent_dims:
            raise ValueError(f"{name} must be one of {', '.join(map(str, cls.latent_dims))}, not {latent_dim}")
        return latent_dim

    def initialise(self, images):
        """Called once before training with the uint8 training images (N, 32, 32, 3)."""

    def encode(self, x):
        """The latent codes of images, float32 (N, latent_dim)."""
        return self.encoder(check_batch(x, self.training)).float()

    def decode(self, z):
        """The images of latent codes, float32 (N, 3, 32, 32) in [0, 1]."""
        return clip(self.decoder(check_codes(z, self.latent_dim, self.training)).float())

    def forward(self, x):
        return self.decode(self.encode(x))

    def loss(self, x):
        """The terms of the loss by name, means over the images of `x`; `total` is the one to minimise."""
        error = F.mse_loss(self(x), x)
        return {"total": error, "reconstruction": error}


class ResidualConvolutions(nn.Module):
    """Convolutions on 8 x 8 positions whose result is added to the input (N, 48, 8, 8); initialised to the identity.

    `depth` of them are 3 x 3, between two of 1 x 1. Hard swish: Howard et al. 2019, https://arxiv.org/abs/1905.02244.
    """

    def __init__(self, width, depth):
        super().__init__()
        layers = [nn.Conv2d(48, width, 1), nn.Hardswish()]
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.Hardswish()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 48, 1))
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, x):
        # inputs centred and spread; a small output keeps the first steps small
        return x + 0.1 * self.layers(4 * (x - 0.5))


class ConvAutoencoder(Autoencoder):
    """Minimises the mean squared error of the reconstruction.

    Image -> convolutions -> linear map -> code -> linear map -> convolutions -> image. The linear maps are initialised to
    the principal components, the best linear code, and the convolutions to the identity, so that training starts at PCA's
    error. `scale` holds the standard deviations of the principal components' scores: codes start with unit variance.
    Encoder and decoder have `depth` convolutions of 3 x 3 each, with `width` channels.
    """

    images_per_component = 1  # how many the start needs for each principal component

    def __init__(self, latent_dim, width=32, depth=2):
        super().__init__(latent_dim)
        self.features = nn.Sequential(
            nn.PixelUnshuffle(4),  # (3, 32, 32) -> (48, 8, 8)
            ResidualConvolutions(width, depth),
            nn.Flatten(),  # -> (3072)
        )
        self.to_code = nn.Linear(PIXELS, latent_dim)
        self.to_image = nn.Linear(latent_dim, PIXELS)
        self.refine = nn.Sequential(
            nn.Unflatten(1, (48, 8, 8)),
            ResidualConvolutions(width, depth),
            nn.PixelShuffle(4),  # (48, 8, 8) -> (3, 32, 32)
        )
        self.register_buffer("scale", torch.ones(latent_dim))

    def encoder(self, x):
        return self.to_code(self.features(x)) / self.scale

    def decoder(self, z):
        return self.refine(self.to_image(z * self.scale))

    def initialise(self, images):
        """Start at the principal components of `images`; units beyond their number are random, and not decoded at first."""
        components = min(self.scale.numel(), (len(images) - 1) // self.images_per_component)
        if components:
            self.start_at(fit_pca(images), components)

    @torch.no_grad()
    def start_at(self, pca, components):
        """Set the linear maps to the first components of `pca`, a fitted scikit-learn PCA of images."""
        directions, mean = (
            F.pixel_unshuffle(_tensor(flat).unflatten(1, IMAGE_SHAPE), 4).flatten(1)
            for flat in (pca.components_[:components], pca.mean_[None])
        )
        self.scale[:components] = _tensor(pca.explained_variance_[:components]).sqrt().clamp(min=1e-3)
        self.to_code.weight[:components] = directions
        self.to_code.bias[:components] = -directions @ mean[0]
        self.to_image.weight[:, :components] = directions.T
        self.to_image.weight[:, components:] = 0
        self.to_image.bias.copy_(mean[0])


class VariationalAutoencoder(ConvAutoencoder):
    """Maximises a lower bound on the likelihood of the images (Kingma & Welling 2014, https://arxiv.org/abs/1312.6114).

    The decoder's variance is set to its optimum, the MSE, so that the reconstruction term is D/2 log MSE and the two terms
    need no weight (the sigma-VAE of Rybkin et al. 2021, https://arxiv.org/abs/2006.13202). Initialised to the posterior of
    probabilistic PCA (Tipping & Bishop 1999), its linear optimum. `encode` gives the posterior's mean. In the loss,
    `reconstruction` is the MSE from a sampled code, `kl` is in nats per image, and `total` is in nats per image up to a constant.
    """

    images_per_component = 2  # the last of as many as images have no variance, and would cost new images many nats

    def __init__(self, latent_dim, **network):
        super().__init__(latent_dim, **network)
        self.to_log_variance = nn.Linear(PIXELS, latent_dim)

    def posterior(self, x):
        """Mean and log variance of the latent code given images, each float32 (N, latent_dim)."""
        features = self.features(check_batch(x, self.training))
        return (self.to_code(features) / self.scale).float(), self.to_log_variance(features).float()

    def loss(self, x):
        mean, log_variance = self.posterior(x)
        z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        error = F.mse_loss(self.decode(z), x)
        kl = kl_divergence(mean, log_variance).sum(1).mean()
        return {"total": PIXELS / 2 * error.log() + kl, "reconstruction": error, "kl": kl}

    @torch.no_grad()
    def start_at(self, pca, components):
        super().start_at(pca, components)
        variance = _tensor(pca.explained_variance_[:components])
        total = pca.explained_variance_[0] / pca.explained_variance_ratio_[0]
        rest = (total - variance.sum()).nan_to_num(0).clamp(min=0)  # 0 / 0 where all images are alike
        noise = rest / (PIXELS - components)
        self.to_log_variance.weight.zero_()
        self.to_log_variance.bias[:components] = (noise / variance.clamp(min=1e-6)).clamp(1e-6, 1).log()


class DenoisingAutoencoder(ConvAutoencoder):
    """Reconstructs the clean image from a noisy one (Vincent et al. 2008, https://doi.org/10.1145/1390156.1390294).

    `noise` is the standard deviation of the normal noise on pixels in [0, 1], drawn anew for every batch.
    """

    def __init__(self, latent_dim, noise=0.2, **network):
        super().__init__(latent_dim, **network)
        if not 0 <= noise < math.inf:
            raise ValueError(f"noise must be a finite standard deviation of at least 0, not {noise!r}")
        self.noise = noise

    def extra_repr(self):
        return f"noise={self.noise}"

    def loss(self, x):
        x = check_batch(x, self.training)
        error = F.mse_loss(self(add_noise(x, self.noise)), x)
        return {"total": error, "reconstruction": error}


def build_autoencoder(name, latent_dim, seed=0, **network):
    """A new, untrained autoencoder by its name in MODELS, with codes of `latent_dim` numbers; the same seed gives the same weights.

    `network` are further arguments of its constructor, such as the `width` and `depth` of ConvAutoencoder. Raises ValueError for
    an unknown name or size, TypeError for an argument that the constructor does not take.
    """
    from src.baseline import MODELS  # here, because the models are built on this module

    if name not in MODELS:
        raise ValueError(f"unknown autoencoder {name!r}: choose one of {', '.join(MODELS)}")
    with seeded(seed):
        model = MODELS[name](latent_dim, **network).eval()
    model.name = name
    return model


def add_noise(x, std):
    """`x`, a float batch in [0, 1], with normal noise of standard deviation `std` on every number, clipped to [0, 1]."""
    return (x + std * torch.randn_like(x)).clamp(0, 1)


def clip(x):
    """`x` limited to [0, 1]; the gradient passes unchanged, so that a pixel outside can be pulled back by training."""
    return x.clamp(0, 1).detach() + (x - x.detach())


def kl_divergence(mean, log_variance):
    """Divergence of normal distributions from the standard normal one, in nats, element by element."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def fit_pca(images):
    """scikit-learn's PCA of uint8 images (N, 32, 32, 3), on pixels in [0, 1] in the order of a model's batch.

    It has min(N - 1, 1,024) components, exact. The last four that were fitted are kept in memory.
    """
    images = images if len(images) > 1 else np.repeat(images, 2, axis=0)  # one image has a mean, but no component
    key = fingerprint(images), torch.get_num_threads()  # which the last bits depend on
    if key not in _PCA:
        if len(_PCA) == 4:
            _PCA.pop(next(iter(_PCA)))
        flat = images.transpose(0, 3, 1, 2).reshape(len(images), PIXELS).astype(np.float32) / 255
        solver = "full" if len(images) < 1_000 else "covariance_eigh"  # of which the first is faster for few images
        with np.errstate(invalid="ignore"):  # the shares of a variance of zero, where all images are alike
            _PCA[key] = PCA(min(len(images) - 1, MAX_LATENT_DIM), svd_solver=solver).fit(flat)
    return _PCA[key]


def check_batch(x, training=False):
    """`x` as float32 where it is a float batch of images (N, 3, 32, 32) in [0, 1]; else a ValueError.

    In training the range is not looked at: the images come from an ImageDataset.
    """
    if not isinstance(x, torch.Tensor) or not x.is_floating_point() or x.shape[1:] != IMAGE_SHAPE or x.shape[0] == 0:
        raise ValueError(f"images must be a float tensor (N, 3, 32, 32) with N > 0, not {describe(x)}")
    if not training and not torch.compiler.is_exporting():
        low, high = x.aminmax()
        if not (low >= 0 and high <= 1):  # written so that NaN fails too
            raise ValueError(f"images must lie in [0, 1], not in [{low:.4g}, {high:.4g}]; divide uint8 images by 255")
    return x.float()


def check_codes(z, latent_dim, training=False):
    """`z` as float32 where it is a batch of finite latent codes, float (N, latent_dim); else a ValueError."""
    if not isinstance(z, torch.Tensor) or not z.is_floating_point() or z.ndim != 2 or z.shape[1] != latent_dim:
        raise ValueError(f"codes must be a float tensor (N, {latent_dim}), not {describe(z)}")
    z = z.float()
    if not training and not torch.compiler.is_exporting() and not z.isfinite().all():
        raise ValueError("codes must be finite; there are NaN or infinite values among them")
    return z


def _tensor(array):
    return torch.from_numpy(array).float()
