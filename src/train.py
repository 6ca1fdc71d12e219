"""Train an autoencoder: the loop that all training goes through, and what it is used for here."""

import math
import sys
import time
import warnings
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from src.data_loader import ImageDataset
from src.encode import encode_images, image_batches, random_view, to_batch
from src.source import code_of_class
from src.utils import (
    check_images,
    fingerprint,
    get_device,
    load_safely,
    mixed_precision,
    random_state,
    save_atomically,
    seeded,
    set_random_state,
    whole_number,
)

LABEL_SMOOTHING = 0.1  # of all networks that are trained with labels
FEW_STEPS = 5  # a training of fewer is warned of


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained: Muon for the kernels of its convolutions, AdamW for all else, both under a one-cycle schedule.

    Muon: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; the schedule: Smith & Topin 2018,
    https://arxiv.org/abs/1708.07120. The defaults are the autoencoders'; what was tried before they were chosen is in
    `reports/search.csv`.
    """

    epochs: int = 2
    batch_size: int = 128
    kernel_rate: float = 0.02  # the peak of Muon's learning rate
    learning_rate: float = 6e-3  # of AdamW's
    linear_rate: float = 1 / 30  # the linear layers' share of it: an autoencoder's have thousands of inputs
    weight_decay: float = 0.01

    def __post_init__(self):
        for setting in ("epochs", "batch_size"):
            object.__setattr__(self, setting, whole_number(getattr(self, setting), setting, 1))
        for setting in ("kernel_rate", "learning_rate", "linear_rate", "weight_decay"):
            value = getattr(self, setting)
            if not 0 <= value < math.inf or (value == 0 and setting != "weight_decay"):
                raise ValueError(f"{setting} must be a finite positive number, not {value!r}")
            object.__setattr__(self, setting, float(value))


def fit(
    model, batches, loss, config, steps, after_epoch=None, on_epoch=None, checkpoint=None, made_by=None, progress=None
):
    """Train `model` for `config.epochs` epochs; the loop that autoencoders and classifiers share.

    `batches()` yields the batches of one epoch, `steps` of them, each a tuple of tensors; `loss(*batch)` gives the terms of the
    loss by name, of which `total` is minimised. Returns the history, one dict per epoch: `epoch`, `seconds` of this thread's
    CPU time, every term as `train_TERM`, and what `after_epoch(record)` returns; `on_epoch(record)` is called with each when
    it is whole. `progress`
    is the label of a progress bar, None for none.
    With `checkpoint`, a path, the state is kept there after every epoch, and training that finds one goes on from it, to the
    same weights bit for bit (on CUDA not for codes of features); a state that was not made by the same `made_by` is a ValueError.
    Raises FloatingPointError, naming the epoch, where the loss stops being finite.
    """
    model.to(get_device(), memory_format=torch.channels_last)
    optimizers, schedules = build_optimizers(model, config, config.epochs * steps)
    parts = {"model": model} | {f"optimizer {i}": part for i, part in enumerate([*optimizers, *schedules])}
    made_by = made_by or {}
    history = _resume(checkpoint, made_by, parts)
    bar = tqdm(range(len(history) + 1, config.epochs + 1), progress, disable=not progress, file=sys.stdout)
    for epoch in bar:
        start = time.thread_time()
        model.train()
        terms = _train_epoch(batches(), loss, optimizers, schedules)
        _check_finite(terms, model, epoch)
        model.eval()
        record = {"epoch": epoch} | {f"train_{term}": value for term, value in terms.items()}
        if after_epoch:
            record.update(after_epoch(record))
        history.append(record | {"seconds": time.thread_time() - start})
        bar.set_postfix(loss=f"{terms['total']:.4g}")
        if checkpoint:
            state = {name: part.state_dict() for name, part in parts.items()}
            save_atomically(state | {"history": history, "random": random_state(), "made_by": made_by}, checkpoint)
        if on_epoch:
            _call_without_drawing(on_epoch, history[-1])
    model.eval()
    return history


def _call_without_drawing(on_epoch, record):
    before = random_state()  # what a caller's function draws changes nothing
    on_epoch(record)
    set_random_state(before)


def _check_finite(terms, model, epoch):
    if not all(x.isfinite().all() for x in (torch.tensor(terms["total"]), *model.parameters())):
        raise FloatingPointError(f"the loss is {terms['total']:.4g} in epoch {epoch}; a lower learning rate may help")


def _train_epoch(batches, loss, optimizers, schedules):
    """One pass over the batches; returns the mean of each term of the loss over all images."""
    sums, seen = defaultdict(float), 0
    for batch in batches:
        with mixed_precision(batch[0].device):
            terms = loss(*batch)
        terms["total"].backward()
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        seen += len(batch[0])
        for term, value in terms.items():
            sums[term] += torch.as_tensor(value).item() * len(batch[0])
    return {term: value / seen for term, value in sums.items()}


class Muon(torch.optim.Muon):
    """torch's Muon, which takes matrices alone, for the kernels of convolutions: one row of a matrix an output channel."""

    def __init__(self, kernels, **settings):
        matrices = [kernel.detach().permute(0, 2, 3, 1).flatten(1) for kernel in kernels]
        pairs = zip(kernels, matrices, strict=True)
        if any(kernel.data_ptr() != matrix.data_ptr() for kernel, matrix in pairs):  # changes of a copy would be lost
            layout = "call model.to(memory_format=torch.channels_last)"
            raise ValueError(f"Muon takes kernels that are channels-last; {layout}")
        self.kernels = kernels
        super().__init__(matrices, **settings)

    def step(self):
        for kernel, matrix in zip(self.kernels, self.param_groups[0]["params"], strict=True):
            matrix.grad = None if kernel.grad is None else kernel.grad.permute(0, 2, 3, 1).flatten(1)
        super().step()

    def zero_grad(self, set_to_none=True):
        for kernel in self.kernels:
            kernel.grad = None


def build_optimizers(model, config, steps):
    """Muon for the kernels, where there are any, and AdamW for all else, and the schedule of each over `steps` batches."""
    trained = [p for p in model.parameters() if p.requires_grad]
    linear = {p for layer in model.modules() if isinstance(layer, nn.Linear) for p in layer.parameters()}
    kernels, others = [p for p in trained if p.ndim == 4], [p for p in trained if p.ndim != 4]
    groups = [{"params": [p for p in others if (p in linear) == is_linear]} for is_linear in (False, True)]
    optimizers = [torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)]
    rates = [[config.learning_rate, config.learning_rate * config.linear_rate]]
    if kernels:
        # these views share the kernels' memory, which `fit` has made channels-last
        optimizers.append(Muon(kernels, weight_decay=config.weight_decay))
        rates.append(config.kernel_rate)
    # torch's OneCycleLR has no rate to speak of at 1 step, and divides by zero at 10
    steps = {1: 2, 10: 11}.get(steps, steps)
    schedule = partial(torch.optim.lr_scheduler.OneCycleLR, total_steps=steps, pct_start=0.1, cycle_momentum=False)
    return optimizers, [schedule(*pair) for pair in zip(optimizers, rates, strict=True)]


def _resume(checkpoint, made_by, parts):
    """Put `parts` where the checkpoint left them; returns its history, empty where there is no checkpoint."""
    if not checkpoint or not Path(checkpoint).exists():
        return []
    state = load_safely(checkpoint)
    found = state.get("made_by") if isinstance(state, dict) else None
    if not isinstance(found, dict):
        raise ValueError(f"{checkpoint} is damaged, or no state of training; give another path")
    if found != made_by:
        other = " and ".join(key for key in made_by if found.get(key) != made_by[key])
        raise ValueError(f"{checkpoint} is of another training: other {other}; give this one another path")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    set_random_state(state["random"])
    return state["history"]


def train_autoencoder(model, images, config=TrainConfig(), seed=0, progress=True, checkpoint=None, on_epoch=None):
    """Train a new `model` on images, on the GPU where there is one, through the stages that its class names.

    `images` are uint8 (N, 32, 32, 3), of which the last tenth are for validation, or an ImageDataset, of which the training split is
    taken. Returns the history, one dict per epoch: `epoch`, `seconds`, and each term of the loss as `train_TERM` and `val_TERM`, means
    over the images of the split; empty where the code is in closed form. `on_epoch`, a function, is called with each. Labels are
    looked at in a stage "labels" only, whose epochs have no `val_TERM`.
    The same seed gives the same weights on one thread, for models of `build_autoencoder` with the same seed; the caller's
    random state is left as it was. With `checkpoint`, a path, training that was interrupted goes on from there.
    Raises FloatingPointError where the loss stops being finite, ValueError where `checkpoint` is of another training.
    """
    dataset = images if isinstance(images, ImageDataset) else _unlabelled(images, model)
    checkpoint = checkpoint and Path(checkpoint).expanduser()
    made_by, history = checkpoint and _what_makes(model, dataset, config, seed), []
    with seeded(seed):
        model.initialise(dataset.split("train")[0])
        model.to(get_device()).eval()
        label = f"{model.name} {model.latent_dim}"
        arguments = {"made_by": made_by, "progress": label if progress else None, "on_epoch": on_epoch}
        for stage in model.stages:
            arguments["checkpoint"] = checkpoint if stage == model.stages[0] else checkpoint and f"{checkpoint}.{stage}"
            history += STAGES[stage](model, dataset, config, arguments)
    return history


def _unlabelled(images, model):
    """Images without labels as an ImageDataset."""
    check_images(images)
    if "labels" in model.stages:
        raise ValueError(f"{model.name} is trained with labels; give an ImageDataset, which has them")
    labels = np.zeros(len(images), np.int64)
    return ImageDataset("images", images, labels, images[:1], labels[:1], ("image",))


def _what_makes(model, dataset, config, seed):
    """What a training is recognised by when it is gone on with, as plain values."""
    arguments = {key: x for key, x in vars(model).items() if isinstance(x, (int, float, str))}
    return {
        "autoencoder": f"{model.name} {model.latent_dim}",
        "network": f"{model} {arguments}",
        "start": fingerprint(*(value.detach().cpu().numpy() for value in model.state_dict().values())),
        "code": code_of_class(type(model)),
        "seed": int(seed),
        "config": asdict(config),
        "data": dataset.fingerprint,
    }


def _shuffled(count, batch_size):
    """Indices of images in random order, as the batches of an epoch; without a last one of a single image, which batch norm refuses."""
    batches = [indices.numpy() for indices in torch.randperm(count).split(batch_size)]
    return batches[: _count_batches(count, batch_size)]


def _count_batches(count, batch_size):
    one_left_over = count > batch_size > 1 and count % batch_size == 1
    return math.ceil(count / batch_size) - one_left_over


def _fit_to_images(model, dataset, config, arguments):
    """Train a model by its own loss, without labels, on images of which half are mirrored."""
    images = dataset.split("train")[0]

    def batches():
        for indices in _shuffled(len(images), config.batch_size):
            x = to_batch(images[indices], get_device())
            yield (torch.where(torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5, x.flip(3), x),)

    return _fit_without_labels(model, dataset, batches, model.loss, config, arguments)


def _fit_decoder(model, dataset, config, arguments):
    """Train the decoder of a frozen encoder; images and their mirror images are encoded once."""
    images, device = dataset.split("train")[0], get_device()
    codes = torch.from_numpy(encode_images(model, images))
    mirrored_codes = torch.from_numpy(encode_images(model, images[:, :, ::-1]))

    def batches():
        for indices in _shuffled(len(images), config.batch_size):
            x, is_mirrored = to_batch(images[indices], device), torch.rand(len(indices), 1) < 0.5
            z = torch.where(is_mirrored, mirrored_codes[indices], codes[indices]).to(device)
            yield z, torch.where(is_mirrored[:, :, None, None].to(device), x.flip(3), x)

    def loss(z, x):
        error = F.mse_loss(model.decode(z), x)
        return {"total": error, "reconstruction": error}

    return _fit_without_labels(model, dataset, batches, loss, config, arguments)


def _fit_without_labels(model, dataset, batches, loss, config, arguments):
    """Train on batches of the training images, at the autoencoders' rates, and measure the model's loss on validation images."""
    images, validation = dataset.split("train")[0], dataset.split("validation")[0]

    def after_epoch(record):
        return {f"val_{term}": value for term, value in mean_loss(model, validation).items()}

    # the more units, the less variance the last of them have, and the smaller the steps that they bear
    config = replace(config, linear_rate=config.linear_rate * min(1, 100 / model.latent_dim))
    steps = _count_batches(len(images), config.batch_size)
    if config.epochs * steps < FEW_STEPS:
        few = f"{config.epochs * steps} steps train little: {len(images)} images in batches of {config.batch_size}"
        warnings.warn(f"{few}; more epochs or a smaller batch_size in TrainConfig take more", stacklevel=4)
    return fit(model, batches, loss, config, steps=steps, after_epoch=after_epoch, **arguments)


def _fit_to_labels(model, dataset, config, arguments):
    """Train the encoder with a linear softmax classifier on its codes, on shifted and mirrored images."""
    images, labels = dataset.split("train")
    classifier = nn.Linear(model.latent_dim, len(dataset.classes)).to(get_device())

    def batches():
        for indices in _shuffled(len(images), config.batch_size):
            x = random_view(to_batch(images[indices], get_device()))
            yield x, torch.from_numpy(labels[indices]).to(get_device())

    def loss(x, y):
        logits = classifier(model.encode(x)).float()
        return {"total": F.cross_entropy(logits, y, label_smoothing=LABEL_SMOOTHING)}

    steps = _count_batches(len(images), config.batch_size)
    return fit(nn.ModuleList([model, classifier]), batches, loss, config, steps=steps, **arguments)


STAGES = {"reconstruction": _fit_to_images, "decoding": _fit_decoder, "labels": _fit_to_labels}


@torch.no_grad()
def mean_loss(model, images):
    """The mean of each term of the model's loss over uint8 images (N, 32, 32, 3), without training."""
    sums = defaultdict(float)
    for x in image_batches(model, images):
        for term, value in model.loss(x).items():
            sums[term] += torch.as_tensor(value).item() * len(x)
    return {term: value / len(images) for term, value in sums.items()}
