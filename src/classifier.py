"""The reader of a code: a classifier on latent vectors that stay as they are, and what it gets right."""

import copy
import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, classification_report, f1_score, top_k_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from torch import nn

from src.data_loader import check_labels, describe
from src.utils import AdamW, get_device, mixed_precision, seed_everything


@dataclass(frozen=True)
class ClassifierConfig:
    """How a network that reads a code is trained: AdamW under a one-cycle schedule.

    Chosen by validation accuracy (all trials: reports/search.csv). The MLP, means of four seeds on CIFAR-10 at d = 100 and on
    CIFAR-100 at 50: 65.1 and 34.4 % as it is; with 512 units for 256, at a peak rate of 2e-2 and in 1.6 times the time, 65.3
    and 35.1 %. With a dropout of 0.1 an earlier one lost half a point. The convolutions: 69.6 %, 69.0 % at half the rate.
    """

    epochs: int
    batch_size: int
    learning_rate: float = 1e-2
    weight_decay: float = 0.05
    label_smoothing: float = 0.1


MLP = ClassifierConfig(epochs=14, batch_size=512, learning_rate=3e-2, weight_decay=0.02)
CONVOLUTIONS = ClassifierConfig(epochs=6, batch_size=128)
MANY = np.iinfo(np.int64).max  # more classes than any labels have


class LatentClassifier(nn.Module):
    """A multilayer perceptron with two hidden layers that standardises the latent vectors by itself.

    Takes z, float32 (N, latent_dim); gives logits, float32 (N, n_classes).
    """

    def __init__(self, latent_dim, n_classes, hidden=(1024, 256)):
        super().__init__()
        self.latent_dim = latent_dim
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("std", torch.ones(latent_dim))
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, hidden[0]), nn.BatchNorm1d(hidden[0]), nn.GELU(),
            nn.Linear(*hidden), nn.BatchNorm1d(hidden[1]), nn.GELU(),
            nn.Linear(hidden[1], n_classes),
        )  # fmt: skip

    def forward(self, z):
        return self.layers((z - self.mean) / self.std)


class DecoderClassifier(nn.Module):
    """A small residual network (He et al. 2016) that looks at the image which the frozen decoder makes of a code.

    A function of the latent vector alone, like the other readers, but one that starts with what the decoder knows
    about images. Takes z, float32 (N, latent_dim); gives logits, float32 (N, n_classes).
    """

    def __init__(self, autoencoder, n_classes):
        super().__init__()
        self.latent_dim = autoencoder.latent_dim
        self.decoder = copy.deepcopy(autoencoder).eval().requires_grad_(False)
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),  # (3, 32, 32) -> (12, 16, 16)
            *_convolution(12, 32),
            *_convolution(32, 64, stride=2),  # -> (64, 8, 8)
            ResidualBlock(64),
            *_convolution(64, 128, stride=2),  # -> (128, 4, 4)
            ResidualBlock(128),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(128, n_classes),
        )

    def forward(self, z):
        with torch.no_grad():
            images = self.decoder.decode(z)
        return self.layers((4 * (images - 0.5)).contiguous(memory_format=torch.channels_last))


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to their input."""

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(*_convolution(width, width), *_convolution(width, width)[:-1])

    def forward(self, x):
        return F.relu(x + self.layers(x))


def _convolution(inputs, outputs, stride=1):
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


def train_classifier(z, y, n_classes, config=MLP, seed=0):
    """Train a LatentClassifier on latent vectors `z`, float (N, d), and labels `y`, integers (N,) in [0, n_classes).

    `z` may also be several such arrays, the codes of other views of the same images, from a list or from a generator
    such as `code_views`: every epoch takes the next one, and a list starts over at its end.
    The encoder is not here and cannot move: what is learnt from is the vectors alone. Raises ValueError for vectors
    or labels of another shape, type or range, or with values that are not finite.
    """
    seed_everything(seed)
    views = _views(z, y, n_classes)
    first = next(views, None)
    if first is None:
        raise ValueError("there are no latent vectors to learn from; at least one view of the images is needed")
    model = LatentClassifier(first.shape[1], n_classes)
    model.mean.copy_(first.mean(0))
    model.std.copy_(first.std(0, correction=0).clamp(min=1e-6))
    return _fit(model, itertools.chain([first], views), y, config)


def train_decoder_classifier(autoencoder, z, y, n_classes, config=CONVOLUTIONS, seed=0):
    """Train a DecoderClassifier on codes `z` of the trained `autoencoder`; all else is as in `train_classifier`."""
    seed_everything(seed)
    model = DecoderClassifier(autoencoder, n_classes).to(memory_format=torch.channels_last)
    return _fit(model, _views(z, y, n_classes), y, config)


def _views(z, y, n_classes):
    """The vectors of every epoch as float32 tensors, checked."""
    views = [z] if isinstance(z, np.ndarray) else z
    for view in itertools.cycle(views) if isinstance(views, list) else views:
        view = check_latents(view)
        check_labels(y, n_classes, len(view))
        if len(view) < 2:
            raise ValueError("one latent vector is too few to learn from; at least two are needed")
        yield torch.from_numpy(view)


def _fit(model, views, y, config):
    device = get_device()
    model = model.to(device).train()
    y = torch.from_numpy(y.astype(np.int64)).to(device)
    optimizer = AdamW(model.layers.parameters(), weight_decay=config.weight_decay, fused=True)
    batches = max(1, len(y) // config.batch_size)  # the few that are left over come next time: batch norm wants many
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=config.epochs * batches)
    for epoch in range(config.epochs):
        z = next(views, None)
        if z is None:
            raise ValueError(f"{config.epochs} epochs need as many views of the images; there were only {epoch}")
        z = z.to(device)
        for indices in torch.randperm(len(z)).to(device).split(config.batch_size)[:batches]:
            with mixed_precision(device):
                logits = model(z[indices])
                loss = F.cross_entropy(logits.float(), y[indices], label_smoothing=config.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def train_linear_classifier(z, y, penalty=1.0):
    """scikit-learn's multinomial logistic regression on standardised vectors `z`, float (N, d), as a pipeline.

    `penalty` is the inverse strength of the squared penalty, scikit-learn's C.
    """
    z = check_latents(z)
    check_labels(y, MANY, len(z))
    # a tolerance that is reached: the default one spends most of the time where accuracy no longer changes
    return make_pipeline(StandardScaler(), LogisticRegression(C=penalty, tol=1e-3, max_iter=1000)).fit(z, y)


def train_neighbours(z, y):
    """scikit-learn's vote of the 40 nearest of standardised vectors `z`, float (N, d), by the angle between them.

    Validation accuracy on the code of 100 numbers of CIFAR-10: 27.1 % by the Euclidean distance, 53.7 % by the angle.
    """
    # on the unit sphere the Euclidean distance, for which scikit-learn has its fast search, orders as the angle does
    neighbours = KNeighborsClassifier(40, weights=inverse_square, algorithm="brute")
    z = check_latents(z)
    check_labels(y, MANY, len(z))
    return make_pipeline(StandardScaler(), Normalizer(), neighbours).fit(z, y)


def inverse_square(distances):
    """The weights of neighbours at `distances` on the unit sphere: one over the cosine distance, up to a factor."""
    return 1 / np.maximum(distances, 1e-4) ** 2


@torch.no_grad()
def predict_logits(classifier, z):
    """The classifier's logits for latent vectors `z`, float32 (N, n_classes)."""
    z, width, device = check_latents(z), classifier.latent_dim, next(classifier.parameters()).device
    if z.shape[1] != width:
        raise ValueError(f"the classifier was trained on vectors of {width} numbers, not {z.shape[1]}")
    return np.concatenate([classifier(part.to(device)).cpu().numpy() for part in torch.from_numpy(z).split(500)])


def evaluate_classifier(classifier, z, y):
    """`accuracy`, `top5` and `macro_f1` in [0, 1], and the `predictions`, int64 (N,), on vectors `z` and labels `y`."""
    return score_logits(predict_logits(classifier, z), y)


def score_logits(logits, y):
    """`accuracy`, `top5` and `macro_f1` in [0, 1], and the `predictions`, int64 (N,), of logits (N, n_classes)."""
    check_labels(y, logits.shape[1], len(logits))
    n_classes = logits.shape[1]
    predictions = logits.argmax(1)
    # with five classes or fewer the right one is always among the first five
    top5 = top_k_accuracy_score(y, logits, k=5, labels=np.arange(n_classes)) if n_classes > 5 else 1.0
    return {
        "accuracy": accuracy_score(y, predictions),
        "top5": top5,
        "macro_f1": f1_score(y, predictions, labels=np.arange(n_classes), average="macro", zero_division=0),
        "predictions": predictions,
    }


def per_class_report(y, predictions, classes):
    """A table of precision, recall, F1 and number of images, a row a class."""
    labels = np.arange(len(classes))
    report = classification_report(
        y, predictions, labels=labels, target_names=classes, output_dict=True, zero_division=0
    )
    return pd.DataFrame({name: report[name] for name in classes}).T


def check_latents(z):
    """`z` as float32 where it is a finite float array (N, d) with N, d > 0; else a ValueError."""
    if not isinstance(z, np.ndarray) or z.dtype.kind != "f" or z.ndim != 2 or 0 in z.shape:
        raise ValueError(f"latent vectors must be a float array (N, d) with N, d > 0, not {describe(z)}")
    if not np.isfinite(z).all():
        raise ValueError("latent vectors must be finite; there are NaN or infinite values among them")
    return np.require(z, np.float32, "CW")
