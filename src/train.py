"""Train an autoencoder, and use it on images."""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from src.data_loader import check_images
from src.utils import AdamW, get_device, load_safely, mixed_precision, save_atomically, seed_everything

EVALUATION_BATCH = 200
SHIFT = 2  # pixels


@dataclass(frozen=True)
class TrainConfig:
    """How an autoencoder is trained: AdamW under a one-cycle schedule (Smith & Topin 2018, arXiv:1708.07120).

    Chosen by the validation error (all trials: reports/search.csv): at d = 100 .00549 at this rate, .00550 at 6e-3 and .00548
    at 1.3e-2 on CIFAR-10, .00558, .00563 and .00557 on CIFAR-100; one epoch left .00568 and not .00553 with another network.
    """

    epochs: int = 2
    batch_size: int = 128
    learning_rate: float = 9e-3  # the peak, for the convolutions
    dense_rate: float = 1 / 30  # the linear maps' share of it: thousands of inputs move their outputs far in one step
    weight_decay: float = 0.01

    def __post_init__(self):
        for setting in ("epochs", "batch_size"):
            value = getattr(self, setting)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{setting} must be a whole number of at least 1, not {value!r}")
        for setting in ("learning_rate", "dense_rate"):
            if not getattr(self, setting) > 0:
                raise ValueError(f"{setting} must be above 0, not {getattr(self, setting)!r}")


def train_autoencoder(model, dataset, config=TrainConfig(), seed=0, progress=True, checkpoint=None, log_dir=None):
    """Train `model` on the training split, on the GPU where there is one; labels are never looked at.

    Returns the history, a dict an epoch: `epoch`, `seconds`, and each term of the loss as `train_TERM` and
    `val_TERM`, means over the images of the split. The same seed gives the same weights on one thread.
    With `checkpoint`, a path, the state of training is kept there at the end of every epoch, and training that finds
    one goes on from it, to the same weights bit for bit. With `log_dir`, a path, every epoch's numbers and some
    reconstructions are logged there for TensorBoard, which has to be installed.
    Raises FloatingPointError, naming the epoch, where the loss stops being finite.
    """
    seed_everything(seed)
    device = get_device()
    images, _ = dataset.split("train")
    validation, _ = dataset.split("validation")
    interrupted = load_safely(checkpoint) if checkpoint and checkpoint.exists() else None
    if interrupted is None:
        model.prepare(images)
    model.to(device, memory_format=torch.channels_last)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return []  # a code in closed form: it is ready
    optimizer, schedule = build_optimizer(
        model, config, steps=config.epochs * math.ceil(len(images) / config.batch_size)
    )
    history = []
    if interrupted:
        history = interrupted["history"]
        for part, name in ((model, "model"), (optimizer, "optimizer"), (schedule, "schedule")):
            part.load_state_dict(interrupted[name])
        torch.set_rng_state(interrupted["random"])
    epochs = tqdm(
        range(len(history) + 1, config.epochs + 1), desc=f"{model.name} {model.latent_dim}", disable=not progress
    )
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
        if checkpoint:
            state = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
            }
            save_atomically(state | {"history": history, "random": torch.get_rng_state()}, checkpoint)
        if log_dir:
            _log_epoch(log_dir, record, model, validation[:16])
        epochs.set_postfix(val_mse=f"{val['reconstruction']:.4f}")
    model.eval()
    return history


def _log_epoch(log_dir, record, model, images):
    from torch.utils.tensorboard import SummaryWriter  # here, because TensorBoard is no requirement

    with SummaryWriter(log_dir) as writer:
        for name, value in record.items():
            writer.add_scalar(name, value, record["epoch"])
        pairs = np.concatenate([images / np.float32(255), reconstruct_images(model, images)])
        writer.add_images("validation images, then reconstructions", pairs, record["epoch"], dataformats="NHWC")


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


def build_optimizer(model, config, steps):
    """The optimiser and its schedule over `steps` batches; the linear maps have a rate of their own."""
    dense = [p for layer in model.modules() if isinstance(layer, torch.nn.Linear) for p in layer.parameters()]
    others = [p for p in model.parameters() if all(p is not d for d in dense)]
    rates = [config.learning_rate, config.learning_rate * config.dense_rate]
    optimizer = AdamW([{"params": others}, {"params": dense}], weight_decay=config.weight_decay, fused=True)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps)


def to_batch(images, device):
    """uint8 images (N, 32, 32, 3) as the float32 batch (N, 3, 32, 32) in [0, 1] that models take, channels last."""
    return torch.from_numpy(np.require(images, requirements="CW")).to(device).permute(0, 3, 1, 2).float().div_(255)


@torch.no_grad()
def encode_images(model, images):
    """The codes of uint8 images (N, 32, 32, 3), float32 (N, latent_dim); no weight or buffer of the model changes."""
    return np.concatenate([model.encode(x).float().cpu().numpy() for x in image_batches(model, images)])


@torch.no_grad()
def code_views(model, images, count, seed=0):
    """Yield the codes of `count` views of uint8 images (N, 32, 32, 3), each float32 (N, latent_dim).

    The first view is the images as they are, every other one is moved and mirrored at random. The encoder is frozen: what
    varies is the image that it sees. Readers train on one view an epoch.
    """
    rng = np.random.default_rng(seed)
    for view in range(count):
        codes, done = np.empty((len(images), model.latent_dim), np.float32), 0
        for x in image_batches(model, images, None if view == 0 else rng):
            with mixed_precision(x.device):
                codes[done : done + len(x)] = model.code(x).float().cpu()
            done += len(x)
        yield codes


def random_view(images, rng):
    """uint8 images (N, 32, 32, 3), all moved alike by up to 2 pixels both ways, and mirrored or not."""
    down, right = rng.integers(0, 2 * SHIFT + 1, 2)
    padded = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="reflect")
    moved = padded[:, down : down + images.shape[1], right : right + images.shape[2]]
    # several times faster than the copy that NumPy makes of an array that is read backwards
    return torch.from_numpy(moved).flip(2).numpy() if rng.random() < 0.5 else moved


@torch.no_grad()
def reconstruct_images(model, images):
    """What the code keeps of uint8 images (N, 32, 32, 3): float32 (N, 32, 32, 3) in [0, 1]."""
    batches = [model.decode(model.encode(x)).permute(0, 2, 3, 1).cpu().numpy() for x in image_batches(model, images)]
    return np.concatenate(batches)


@torch.no_grad()
def reconstruction_errors(model, images):
    """The mean squared error of each image (N,), over pixels and channels of images in [0, 1]."""
    errors = [(model.decode(model.encode(x)) - x).square().mean((1, 2, 3)) for x in image_batches(model, images)]
    return torch.cat(errors).cpu().numpy()


def image_batches(model, images, rng=None):
    """uint8 images (N, 32, 32, 3) as the batches that `model` takes, on its device; puts the model in eval mode.

    With `rng`, a NumPy generator, every batch is a random view of its images.
    """
    check_images(images)
    model.eval()
    device = next(model.parameters()).device
    for start in range(0, len(images), EVALUATION_BATCH):
        batch = images[start : start + EVALUATION_BATCH]
        yield to_batch(random_view(batch, rng) if rng else batch, device)
