"""Two codes of another kind: one for all sizes at once, and one that was learnt elsewhere."""

import io
import socket
from contextlib import contextmanager, redirect_stderr

import torch
import torch.nn.functional as F
from torch import nn

from src.autoencoder import Autoencoder, ConvAutoencoder, check_batch, check_latent_dim

NESTED_SIZES = (10, 20, 50, 100)
FEATURES = 512  # of a ResNet-18
RESNET_SIZE = 64  # pixels: its layers were made for 224, which takes twelve times as long


class NestedAutoencoder(ConvAutoencoder):
    """One code for all sizes: its first 10, 20, 50 and all 100 numbers are each trained to be a code.

    After the nested dropout of Rippel et al. (2014, https://arxiv.org/abs/1402.0915): every fourth image of a batch is
    rebuilt from its first 10 numbers, every fourth from 20, and so on. `total` is the mean of the logarithms of the four
    errors, so that none outweighs the others; `reconstruction` is the mean of all. `latent_dim`, 1 to 100, is how many
    numbers `encode` gives; the weights are the same for all of them, bit for bit, after training with the same seed.
    """

    name = "nested"

    def __init__(self, latent_dim=NESTED_SIZES[-1]):
        super().__init__(NESTED_SIZES[-1])
        if check_latent_dim(latent_dim) > NESTED_SIZES[-1]:
            raise ValueError(f"the nested code has {NESTED_SIZES[-1]} numbers, not {latent_dim}")
        self.latent_dim = latent_dim

    def code(self, x):
        return super().code(x)[:, : self.latent_dim]

    def reconstruct(self, z):
        return super().reconstruct(F.pad(z, (0, NESTED_SIZES[-1] - z.shape[1])))

    def loss(self, x):
        sizes = torch.tensor(NESTED_SIZES, device=x.device)[torch.arange(len(x)) % len(NESTED_SIZES)]
        kept = torch.arange(NESTED_SIZES[-1], device=x.device) < sizes[:, None]
        rebuilt = super().reconstruct(super().code(check_batch(x)) * kept)
        errors = (rebuilt.float() - x).square().mean((1, 2, 3))
        parts = [errors[sizes == size].mean().log() for size in sizes.unique()]
        return {"total": sum(parts) / len(parts), "reconstruction": errors.mean()}


class ResNetCode(Autoencoder):
    """Transfer: what a ResNet-18 (He et al. 2016) that was trained on ImageNet sees in an image, its last 512 features.

    Images are enlarged to 64 x 64 pixels. It can encode only, and nothing of it is trained: `prepare` loads the weights.
    """

    name = "resnet18"

    def __init__(self, latent_dim=FEATURES):
        from torchvision.models import resnet18  # here, because no other code needs it and it takes a second

        if latent_dim != FEATURES:
            raise ValueError(f"a ResNet-18 has {FEATURES} features, not {latent_dim}")
        super().__init__(latent_dim)
        self.network = resnet18()
        self.network.fc = nn.Identity()
        self.requires_grad_(False)
        # of ImageNet, which its training images were standardised by
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))

    def prepare(self, images):
        weights = imagenet_weights()
        self.network.load_state_dict({key: value for key, value in weights.items() if not key.startswith("fc.")})

    def code(self, x):
        large = F.interpolate(x, size=RESNET_SIZE, mode="bilinear", align_corners=False)
        return self.network((large - self.mean) / self.std)


class WeightsUnavailableError(RuntimeError):
    """The pretrained weights are neither on this machine nor to be had; the message says where they may be put."""


def imagenet_weights():
    """The weights of torchvision's ResNet-18, from torch's cache or, where it has none, from the net."""
    from torchvision.models import ResNet18_Weights

    weights = ResNet18_Weights.DEFAULT
    try:
        with (
            _patience(seconds=10),
            redirect_stderr(io.StringIO()),
        ):  # where torch says what it downloads to which folder
            return weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:  # the latter where what came is not what was asked for
        file = weights.url.rpartition("/")[2]
        raise WeightsUnavailableError(
            f"torchvision's weights of a ResNet-18, {file}, could not be had ({error}); the file may be put into the folder "
            "checkpoints of torch.hub.get_dir()"
        ) from error


def why_no_transfer():
    """Why there can be no ResNetCode, in a sentence; empty where its weights are here."""
    try:
        imagenet_weights()
    except WeightsUnavailableError as error:
        return str(error)
    return ""


@contextmanager
def _patience(seconds):
    """Give up on a server that says nothing for so long, also where a library has no setting for it."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


FURTHER_CODES = {code.name: code for code in (NestedAutoencoder, ResNetCode)}
