"""The recipes that the benchmark compares, each a generator that yields before every batch its size."""

from queue import Queue
from threading import Thread
from timeit import repeat

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms import Normalize
from torchvision.transforms.functional import to_tensor

from src.encode import to_batch
from src.train import train_autoencoder
from src.utils import get_device, one_thread

D = 100  # the latent dimension


def plain_conv():
    """The prior work's convolutional autoencoder: two convolutions and a dense bottleneck, and back."""
    down = [f for i, o in ((3, 16), (16, 8)) for f in (nn.Conv2d(i, o, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2))]
    dense = nn.Flatten(), nn.Linear(512, D), nn.Linear(D, 512), nn.Unflatten(1, (8, 8, 8))
    up = [f for i, o in ((8, 8), (8, 16)) for f in (nn.Conv2d(i, o, 3, 1, 1), nn.ReLU(), nn.Upsample(scale_factor=2))]
    return nn.Sequential(*down, *dense, *up, nn.Conv2d(16, 3, 3, 1, 1), nn.Sigmoid())


def tutorial_conv():
    """The network of the University of Amsterdam's deep-learning tutorial 9, https://uvadlc-notebooks.readthedocs.io."""
    sizes = (3, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 64, 2)  # channels in and out, and stride
    down = [f for i, o, stride in sizes for f in (nn.Conv2d(i, o, 3, stride, 1), nn.GELU())]
    dense = nn.Flatten(), nn.Linear(1024, D), nn.Linear(D, 1024), nn.GELU(), nn.Unflatten(1, (64, 4, 4))
    up = [f for i, o, s in sizes[::-1] for f in (nn.ConvTranspose2d(o, i, 3, s, 1, s - 1), nn.GELU())]
    return nn.Sequential(Normalize([0.5], [0.5]), *down, *dense, *up[:-1], nn.Tanh(), Normalize([-1], [2]))


class PlainVAE(nn.Module):
    """The prior work's VAE: dense, 400 hidden units, and the divergence weighted by one over the number of pixels."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(3072, 400), nn.ReLU(), nn.Linear(400, 2 * D))
        self.decoder = nn.Sequential(nn.Linear(D, 400), nn.ReLU(), nn.Linear(400, 3072), nn.Sigmoid())

    def forward(self, x):
        mean, log_variance = self.encoder(x).chunk(2, 1)
        self.penalty = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2 / 3072
        return self.decoder(mean + torch.randn_like(mean) * (log_variance / 2).exp()).view_as(x)


def train_plainly(batch_size, model, dataset):
    """Train as one would first write it, without end, in float32 on all cores; yields before every batch its size."""
    pictures, device = [Image.fromarray(image) for image in dataset.split("train")[0]], get_device()
    loader = DataLoader(pictures, batch_size, True, collate_fn=lambda part: torch.stack([*map(to_tensor, part)]))
    optimizer = torch.optim.Adam(model.to(device).parameters(), 1e-3)
    while True:
        for x in (batch.to(device) for batch in loader):
            yield len(x)
            optimizer.zero_grad()
            (nn.functional.mse_loss(model(x), x) + getattr(model, "penalty", 0)).backward()
            optimizer.step()


def train_ours(config, model, dataset):
    """Train as the study does, on one core, in a thread that waits before every batch; yields there its size."""
    go, sizes, loss = Queue(), Queue(), model.loss

    def loss_in_turn(x):
        if model.training:
            sizes.put(len(x))
            go.get()
        return loss(x)

    def train():
        try:
            with one_thread():
                train_autoencoder(model, dataset, config, progress=False)
        finally:
            sizes.put(0)

    model.loss = loss_in_turn
    Thread(target=train, daemon=True).start()
    while size := sizes.get():
        yield size
        go.put(True)


def pythae_rows(images):
    """The speed of pythae's network for CIFAR, from two training steps, where pythae is installed."""
    try:
        from pythae.models import AE, AEConfig
        from pythae.models.nn.benchmarks.cifar import Decoder_Conv_AE_CIFAR, Encoder_Conv_AE_CIFAR
    except ImportError:
        return
    config, x = AEConfig(input_dim=(3, 32, 32), latent_dim=D), to_batch(images[:128], "cpu")
    model = AE(config, Encoder_Conv_AE_CIFAR(config), Decoder_Conv_AE_CIFAR(config))
    seconds = min(repeat(lambda: model({"data": x}).loss.backward(), number=1, repeat=2))
    yield "speed", "pythae's network for CIFAR, one core", seconds * 45_000 / 128, "s an epoch of 45,000 images"
