"""Other objectives for the same network: does what an autoencoder is asked for change what can be read of its code?

Each differs from the convolutional autoencoder in its loss alone. `reconstruction` is always the mean squared error
of what the loss rebuilds, `total` what is minimised. None of them sees a label.
"""

import torch
import torch.nn.functional as F

from src.autoencoder import ConvAutoencoder, check_batch


class MaskedAutoencoder(ConvAutoencoder):
    """Rebuilds the whole image from one of which a third of the 4 x 4 patches is grey.

    After the masked autoencoders of He et al. (2022, https://arxiv.org/abs/2111.06377), which hide three quarters.
    """

    name = "masked"

    def loss(self, x):
        patches = (torch.rand(len(x), 1, 8, 8, device=x.device) < 1 / 3).float()
        hidden = F.interpolate(patches, scale_factor=4)
        masked = check_batch(x) * (1 - hidden) + 0.5 * hidden
        error = F.mse_loss(self.reconstruct(self.code(masked)).float(), x)
        return {"total": error, "reconstruction": error}


class DetailAutoencoder(ConvAutoencoder):
    """Counts the error in detail, what is left of it without the mean of each 4 x 4 patch, five times."""

    name = "detail"

    def loss(self, x):
        error = self.reconstruct(self.encode(x)).float() - x
        detail = error - F.interpolate(F.avg_pool2d(error, 4), scale_factor=4)
        reconstruction = error.square().mean()
        return {"total": reconstruction + 4 * detail.square().mean(), "reconstruction": reconstruction}


class LuminanceAutoencoder(ConvAutoencoder):
    """Counts the error in colour, what is left of it without the mean of the three channels, a quarter."""

    name = "luminance"

    def loss(self, x):
        error = self.reconstruct(self.encode(x)).float() - x
        grey = error.mean(1, keepdim=True)
        total = grey.square().mean() + 0.25 * (error - grey).square().mean()
        return {"total": total, "reconstruction": error.square().mean()}


class ContrastiveAutoencoder(ConvAutoencoder):
    """Rebuilds the image and, besides, finds the code of a moved, mirrored and re-lit view among those of a batch.

    The second term is that of SimCLR (Chen et al. 2020, https://arxiv.org/abs/2002.05709) without its projection.
    """

    name = "contrastive"

    def loss(self, x):
        z = self.encode(x)
        reconstruction = F.mse_loss(self.reconstruct(z).float(), x)
        likeness = F.normalize(z.float()) @ F.normalize(self.code(self.view(x)).float()).T / 0.2
        own = torch.arange(len(x), device=x.device)
        contrast = (F.cross_entropy(likeness, own) + F.cross_entropy(likeness.T, own)) / 2
        return {"total": reconstruction + 1e-2 * contrast, "reconstruction": reconstruction, "contrast": contrast}

    def view(self, x):
        """Images moved by up to 4 pixels and mirrored, all alike, each channel of each lit by 0.8 to 1.2."""
        down, right = torch.randint(0, 9, (2,)).tolist()
        moved = F.pad(x, (4,) * 4, mode="reflect")[..., down : down + 32, right : right + 32].flip(-1)
        return (moved * (0.8 + 0.4 * torch.rand(len(x), 3, 1, 1, device=x.device))).clamp(0, 1)


OBJECTIVES = {
    model.name: model for model in (MaskedAutoencoder, DetailAutoencoder, LuminanceAutoencoder, ContrastiveAutoencoder)
}
