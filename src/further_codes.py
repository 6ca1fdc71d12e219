"""Two codes of another kind: one for all sizes at once, and one that was learnt elsewhere."""

import torch
import torch.nn.functional as F
from torch import nn

from src.autoencoder import Autoencoder, ConvAutoencoder, check_batch, check_latent_dim
from src.pretrained import imagenet_weights

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
        self.requires_grad_(False).eval()
        # of ImageNet, which its training images were standardised by
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))

    def train(self, mode=True):
        return super().train(False)  # it stays as it was trained: batches must not move its statistics

    def prepare(self, images):
        weights = imagenet_weights()
        self.network.load_state_dict({key: value for key, value in weights.items() if not key.startswith("fc.")})

    def code(self, x):
        large = F.interpolate(x, size=RESNET_SIZE, mode="bilinear", align_corners=False)
        return self.network((large - self.mean) / self.std)


FURTHER_CODES = {code.name: code for code in (NestedAutoencoder, ResNetCode)}
