"""Train an autoencoder, use it on images, and keep it on disk."""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from src.data_loader import check_images
from src.utils import get_device, mixed_precision, seed_everything

EVALUATION_BATCH = 500
SHIFT = 2  # pixels


@dataclass(frozen=True)
class TrainConfig:
    """How an autoencoder is trained: AdamW under a one-cycle schedule (Smith & Topin 2018, arXiv:1708.07120).

    By the validation error on CIFAR-10: 2 epochs of 32 channels give .0055 at d = 100 in 30 s, 64 channels .0053 in 50 s
    (5 epochs .0052), at equal accuracy of the readers. The rate was found at 64 channels: .0203 at d = 10, twice it .0204.
    """

    epochs: int = 2
    batch_size: int = 128
    learning_rate: float = 2e-3  # the peak, for the convolutions
    dense_rate: float = 0.1  # the linear maps' share of it: thousands of inputs move their outputs far in one step
    weight_decay: float = 0.01

    def __post_init__(self):
        for setting in ("epochs", "batch_size"):
            value = getattr(self, setting)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{setting} must be a whole number of at least 1, not {value!r}")
        for setting in ("learning_rate", "dense_rate"):
            if not getattr(self, setting) > 0:
                raise ValueError(f"{setting} must be above 0, not {getattr(self, setting)!r}")


def train_autoencoder(model, dataset, config=TrainConfig(), seed=0, progress=True):
    """Train `model` on the training split, on the GPU where there is one; labels are never looked at.

    Returns the history, a dict an epoch: `epoch`, `seconds`, and each term of the loss as `train_TERM` and
    `val_TERM`, means over the images of the split. The same seed gives the same weights on one thread.
    Raises FloatingPointError, naming the epoch, where the loss stops being finite.
    """
    seed_everything(seed)
    device = get_device()
    images, _ = dataset.split("train")
    validation, _ = dataset.split("validation")
    model.prepare(images)
    model.to(device, memory_format=torch.channels_last)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return []  # a code in closed form: it is ready
    optimizer, schedule = _optimizer(model, config, steps=config.epochs * math.ceil(len(images) / config.batch_size))
    history = []
    epochs = tqdm(range(1, config.epochs + 1), desc=f"{model.name} {model.latent_dim}", disable=not progress)
    for epoch in epochs:
        start = time.perf_counter()
        train = train_epoch(model, images, config.batch_size, optimizer, schedule)
        val = evaluate(model, validation)
        if not math.isfinite(train["total"]):
            raise FloatingPointError(f"{model.name} {model.latent_dim}: the loss is {train['total']} in epoch {epoch}")
        record = {"epoch": epoch, "seconds": time.perf_counter() - start}
        record |= {f"train_{term}": value for term, value in train.items()}
        record |= {f"val_{term}": value for term, value in val.items()}
        history.append(record)
        epochs.set_postfix(val_mse=f"{val['reconstruction']:.4f}")
    model.eval()
    return history


def train_epoch(model, images, batch_size, optimizer, schedule):
    """One pass over `images` in random order; returns the mean of each term of the loss."""
    model.train()
    device = next(model.parameters()).device
    sums = {}
    for indices in torch.randperm(len(images)).split(batch_size):
        x = to_batch(images[indices.numpy()], device)
        with mixed_precision(device):
            terms = model.loss(x)
        optimizer.zero_grad()
        terms["total"].backward()
        optimizer.step()
        schedule.step()
        _add(sums, terms, len(x))
    return {term: value / len(images) for term, value in sums.items()}


@torch.no_grad()
def evaluate(model, images):
    """The mean of each term of the loss over `images`, uint8 (N, 32, 32, 3), without training."""
    sums = {}
    for x in image_batches(model, images):
        _add(sums, model.loss(x), len(x))
    return {term: value / len(images) for term, value in sums.items()}


def _add(sums, terms, weight):
    for term, value in terms.items():
        sums[term] = sums.get(term, 0.0) + value.item() * weight


def _optimizer(model, config, steps):
    dense = [p for layer in model.modules() if isinstance(layer, torch.nn.Linear) for p in layer.parameters()]
    others = [p for p in model.parameters() if all(p is not d for d in dense)]
    rates = [config.learning_rate, config.learning_rate * config.dense_rate]
    optimizer = torch.optim.AdamW([{"params": others}, {"params": dense}], weight_decay=config.weight_decay)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps)


def to_batch(images, device):
    """uint8 images (N, 32, 32, 3) as the float32 batch (N, 3, 32, 32) in [0, 1] that models take, channels last."""
    return torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def encode_images(model, images):
    """The codes of uint8 images (N, 32, 32, 3), float32 (N, latent_dim); no weight or buffer of the model changes."""
    return np.concatenate([model.encode(x).float().cpu().numpy() for x in image_batches(model, images)])


@torch.no_grad()
def code_views(model, images, count, seed=0):
    """Yield the codes of `count` random views of uint8 images (N, 32, 32, 3), each float32 (N, latent_dim).

    The encoder is frozen: what varies is the image that it sees. Readers train on one view an epoch.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        codes = np.empty((len(images), model.latent_dim), np.float32)
        for start, x in enumerate(image_batches(model, images)):
            with mixed_precision(x.device):
                z = model.encode(random_view(x, rng))
            codes[start * EVALUATION_BATCH :][: len(z)] = z.float().cpu()
        yield codes


def random_view(x, rng):
    """A batch of images (N, 3, 32, 32), each moved by up to 2 pixels both ways and mirrored or not."""
    down, right = rng.integers(0, 2 * SHIFT + 1, (2, len(x)))
    windows = F.pad(x, (SHIFT,) * 4, mode="reflect").unfold(2, x.shape[2], 1).unfold(3, x.shape[3], 1)
    moved = windows[np.arange(len(x)), :, down, right]
    mirrored = torch.from_numpy(rng.random((len(x), 1, 1, 1)) < 0.5).to(x.device)
    return torch.where(mirrored, moved.flip(-1), moved).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def reconstruct_images(model, images):
    """What the code keeps of uint8 images (N, 32, 32, 3): float32 (N, 32, 32, 3) in [0, 1]."""
    batches = [model.decode(model.encode(x)).permute(0, 2, 3, 1).cpu().numpy() for x in image_batches(model, images)]
    return np.concatenate(batches)


def reconstruction_errors(model, images):
    """The mean squared error of each image (N,), over pixels and channels of images in [0, 1]."""
    return np.square(reconstruct_images(model, images) - images / np.float32(255)).mean(axis=(1, 2, 3))


def image_batches(model, images):
    """uint8 images (N, 32, 32, 3) as the batches that `model` takes, on its device; puts the model in eval mode."""
    check_images(images)
    model.eval()
    device = next(model.parameters()).device
    for start in range(0, len(images), EVALUATION_BATCH):
        yield to_batch(images[start : start + EVALUATION_BATCH], device)
