"""Other losses for the same network; none of them sees a label.

Each differs from the convolutional autoencoder in its loss alone. `reconstruction` is always the mean squared error of
what the loss reconstructs, `total` what is minimised.
"""

import torch
import torch.nn.functional as F

from src.autoencoder import ConvAutoencoder, check_batch

NESTED_SIZES = (10, 20, 50, 100)


class MaskedAutoencoder(ConvAutoencoder):
    """Reconstructs the whole image from one of which a third of the 4 x 4 patches is grey.

    After the masked autoencoders of He et al. (2022, https://arxiv.org/abs/2111.06377), which hide three quarters.
    """

    def loss(self, x):
        x = check_batch(x, self.training)
        patches = (torch.rand(len(x), 1, 8, 8, device=x.device) < 1 / 3).float()
        hidden = F.interpolate(patches, scale_factor=4)
        error = F.mse_loss(self(x * (1 - hidden) + 0.5 * hidden), x)
        return {"total": error, "reconstruction": error}


class NestedAutoencoder(ConvAutoencoder):
    """One code for all sizes: its first 10, 20, 50 and all 100 numbers are each trained to be a code.

    After the nested dropout of Rippel et al. (2014, https://arxiv.org/abs/1402.0915): every fourth image of a batch is
    reconstructed from its first 10 numbers, every fourth from 20, and so on. `total` is the mean of the logarithms of the four
    errors, so that none outweighs the others; `reconstruction` is the mean of all. `latent_dim`, 1 to 100, is how many
    numbers `encode` gives; the weights are the same for all of them, bit for bit, after training with the same seed.
    """

    latent_dims = range(1, NESTED_SIZES[-1] + 1)
    one_training = True

    def __init__(self, latent_dim, **network):
        super().__init__(NESTED_SIZES[-1], **network)
        self.latent_dim = self.check_latent_dim(latent_dim)

    def encoder(self, x):
        return super().encoder(x)[:, : self.latent_dim]

    def decoder(self, z):
        return super().decoder(F.pad(z, (0, NESTED_SIZES[-1] - z.shape[1])))

    def loss(self, x):
        x = check_batch(x, self.training)
        sizes = torch.tensor(NESTED_SIZES, device=x.device)[torch.arange(len(x)) % len(NESTED_SIZES)]
        kept = torch.arange(NESTED_SIZES[-1], device=x.device) < sizes[:, None]
        reconstructed = super().decoder(super().encoder(x) * kept).float()
        errors = (reconstructed - x).square().mean((1, 2, 3))
        parts = [errors[sizes == size].mean().log() for size in sizes.unique()]
        return {"total": sum(parts) / len(parts), "reconstruction": errors.mean()}
