"""A self-supervised network: trained without a label to find like numbers for views of one image, and unlike ones for others.

SimCLR (Chen et al. 2020, https://arxiv.org/abs/2002.05709) with the decoupled loss (Yeh et al. 2022,
https://arxiv.org/abs/2110.06848) and several views of every image (as EMP-SSL, https://arxiv.org/abs/2304.03977). Its settings are
those of a first try, compared by hand by the MLP probe on the 5,000 validation images of CIFAR-10; no search of them is logged.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from src.classifier import ResidualBackbone
from src.encode import to_batch
from src.train import TrainConfig, fit
from src.utils import get_device

WIDTH = 64  # channels of the first convolution; the backbone finds four times as many numbers in an image
VIEWS = 4  # of every image of a batch
TEMPERATURE = 0.2
LEAST_AREA = 0.2  # of a crop in training, as a share of the image
JITTER = 0.4  # how far brightness, contrast and saturation of a view go
HUE = 0.1  # how far its hue goes, in turns
CHANGED, GREY = 0.8, 0.2  # shares of views whose colours change, and that are grey
CONFIG = TrainConfig(
    epochs=12, batch_size=250, kernel_rate=0.05, learning_rate=5e-3, linear_rate=1.0, weight_decay=0.05
)


class ViewNetwork(nn.Module):
    """The backbone that is trained, and the head through which its training looks, of no use afterwards."""

    def __init__(self):
        super().__init__()
        self.backbone = ResidualBackbone(WIDTH)
        self.head = nn.Sequential(nn.Linear(4 * WIDTH, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 128))

    def loss(self, x):
        """The loss of a batch of images, of which views are drawn at random."""
        with torch.autocast(x.device.type, enabled=False):
            views = torch.cat([crop_view(x) for _ in range(VIEWS)]).contiguous(memory_format=torch.channels_last)
        z = self.head(self.backbone(views))
        with torch.autocast(x.device.type, enabled=False):
            return {"total": contrastive_loss(z.float(), len(x))}


def contrastive_loss(z, count):
    """The decoupled contrastive loss of views, float (VIEWS * count, m): view i is of image i % count.

    Each view is compared with the other views of its image by the cosine, and with all views of other images.
    """
    z = F.normalize(z, dim=1)
    likeness = z @ z.T / TEMPERATURE
    image = torch.arange(len(z), device=z.device) % count
    of_one_image = image[:, None] == image
    of_others = likeness.masked_fill(of_one_image, -math.inf).logsumexp(1)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    of_pairs = likeness.masked_fill(~of_one_image | itself, 0).sum(1) / (len(z) // count - 1)
    return (of_others - of_pairs).mean()


def crop_view(x, least_area=LEAST_AREA):
    """A batch of images (N, 3, 32, 32), each cropped, stretched to its size and mirrored or not, and in other colours, at random."""
    return _other_colours(_cropped(x, least_area))


def _cropped(x, least_area):
    area, ratio = _uniform(x, least_area, 1), _uniform(x, math.log(3 / 4), math.log(4 / 3)).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    mirrored = torch.where(_uniform(x, -1, 1) < 0, -1, 1)
    place = x.new_zeros(len(x), 2, 3)
    place[:, 0, 0], place[:, 1, 1] = width * mirrored, height
    place[:, 0, 2], place[:, 1, 2] = _uniform(x, -1, 1) * (1 - width), _uniform(x, -1, 1) * (1 - height)
    grid = F.affine_grid(place, x.shape, align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def _other_colours(x):
    """Most images with another brightness, contrast, saturation and hue, some grey."""
    to_yiq = x.new_tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    is_changed = (_uniform(x, 0, 1) < CHANGED).float()
    brightness, contrast, saturation = (1 + is_changed * _uniform(x, -JITTER, JITTER) for _ in range(3))
    saturation = saturation * (_uniform(x, 0, 1) >= GREY)
    turn = 2 * math.pi * is_changed * _uniform(x, -HUE, HUE)
    y, i, q = torch.einsum("ij,njhw->inhw", to_yiq, x * brightness[:, None, None, None])
    mean = y.mean((1, 2), keepdim=True)
    y = (y - mean) * contrast[:, None, None] + mean
    along, across = (contrast * saturation * part for part in (turn.cos(), turn.sin()))
    along, across = along[:, None, None], across[:, None, None]
    turned = torch.stack([y, along * i - across * q, across * i + along * q], 1)
    return torch.einsum("ij,njhw->nihw", torch.linalg.inv(to_yiq), turned).clamp(0, 1)


def _uniform(x, low, high):
    """A random number between two others for every image of a batch."""
    return low + (high - low) * torch.rand(len(x), device=x.device)


def train_view_network(images, checkpoint=None, on_epoch=None):
    """A ViewNetwork trained on uint8 images (N, 32, 32, 3), drawing from torch's generator; and its history.

    `checkpoint` and `on_epoch` are as in `fit`: training that was interrupted goes on after its last epoch.
    """
    network, device = ViewNetwork(), get_device()
    size = min(CONFIG.batch_size, len(images))

    def batches():
        for indices in torch.randperm(len(images)).split(size)[: len(images) // size]:
            yield (to_batch(images[indices.numpy()], device),)

    steps = len(images) // size
    history = fit(network, batches, network.loss, CONFIG, steps=steps, checkpoint=checkpoint, on_epoch=on_epoch)
    return network, history
