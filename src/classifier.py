"""Probes: classifiers that are trained on the latent codes of a frozen encoder, and how their answers are scored."""

import copy
import itertools

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, top_k_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from torch import nn

from src.encode import device_of
from src.train import LABEL_SMOOTHING, TrainConfig, fit
from src.utils import check_labels, check_latents, get_device, seeded, whole_number

# What was tried before these were chosen is in reports/search.csv
MLP = TrainConfig(epochs=14, batch_size=512, learning_rate=3e-2, linear_rate=1.0, weight_decay=0.02)
CNN = TrainConfig(epochs=6, batch_size=128, kernel_rate=0.1, learning_rate=1e-2, linear_rate=1.0, weight_decay=0.05)
NEIGHBOURS = 40


class LatentClassifier(nn.Module):
    """The MLP probe: two hidden layers on standardised latent codes.

    Takes z, float32 (N, latent_dim); gives logits, float32 (N, n_classes).
    """

    def __init__(self, latent_dim, n_classes):
        super().__init__()
        self.latent_dim = latent_dim
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("std", torch.ones(latent_dim))
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, 1024), nn.BatchNorm1d(1024), nn.GELU(),
            nn.Linear(1024, 256), nn.BatchNorm1d(256), nn.GELU(),
            nn.Linear(256, n_classes),
        )  # fmt: skip

    def forward(self, z):
        return self.layers((z - self.mean) / self.std)


class DecoderClassifier(nn.Module):
    """The CNN probe: a small residual network on the image that the frozen decoder makes of a code.

    Like the other probes a function of the code alone. Takes z, float32 (N, latent_dim); gives logits, float32 (N, n_classes).
    """

    def __init__(self, autoencoder, n_classes):
        super().__init__()
        self.latent_dim = autoencoder.latent_dim
        self.autoencoder = copy.deepcopy(autoencoder).requires_grad_(False)
        self.network = ResidualNetwork(n_classes)

    def forward(self, z):
        self.autoencoder.eval()  # frozen also where it has batch norm or dropout
        with torch.no_grad():
            images = self.autoencoder.decode(z)
        return self.network(images)


class ResidualBackbone(nn.Module):
    """A small residual network (He et al. 2016, https://arxiv.org/abs/1512.03385) up to its pooling.

    Takes images, float (N, 3, 32, 32) in [0, 1]; gives float (N, 4 width).
    """

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),  # (3, 32, 32) -> (12, 16, 16)
            *_convolution(12, width),
            *_convolution(width, 2 * width, stride=2),  # -> (2 width, 8, 8)
            ResidualBlock(2 * width),
            *_convolution(2 * width, 4 * width, stride=2),  # -> (4 width, 4, 4)
            ResidualBlock(4 * width),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
        )

    def forward(self, images):
        return self.layers(4 * (images - 0.5))


class ResidualNetwork(nn.Module):
    """The backbone with a linear layer: images, float (N, 3, 32, 32) in [0, 1] -> float (N, outputs)."""

    def __init__(self, outputs, width=32):
        super().__init__()
        self.backbone = ResidualBackbone(width)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(4 * width, outputs))

    def forward(self, images):
        return self.head(self.backbone(images))


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
    """Train the MLP probe on latent codes `z`, float (N, d), and labels `y`, integers (N,) in [0, n_classes).

    `z` may also be several such arrays, the codes of other views of the same images, from a list or a generator such as
    `encode_views`: every epoch takes the next one, and a list starts over at its end. The encoder is not here and cannot move.
    Raises ValueError for codes or labels of another shape, type or range, or with values that are not finite, and
    FloatingPointError where the loss stops being finite.
    """
    views = _views(z, y, n_classes, config.epochs)
    first = next(views)
    with seeded(seed):
        model = LatentClassifier(first.shape[1], n_classes)
        model.mean.copy_(first.mean(0))
        std = first.std(0, correction=0)
        is_constant = std <= 1e-6 * first.abs().amax(0)
        model.std.copy_(std.masked_fill(is_constant, 1))
        return _fit(model, itertools.chain([first], views), y, config)


def train_decoder_classifier(autoencoder, z, y, n_classes, config=CNN, seed=0):
    """Train the CNN probe on codes `z` of the trained `autoencoder`; all else is as in `train_classifier`."""
    if not autoencoder.has_decoder:
        raise ValueError(f"the CNN probe needs decoded images, and {autoencoder.name} has no trained decoder")
    views = _views(z, y, n_classes, config.epochs)
    with seeded(seed):
        return _fit(DecoderClassifier(autoencoder, n_classes), views, y, config)


def _views(z, y, n_classes, epochs):
    """The latent codes of every epoch as float32 tensors, checked."""
    whole_number(n_classes, "n_classes", 1)
    views = [z] if hasattr(z, "shape") else z  # an array or a frame is one view
    views = itertools.cycle(views) if isinstance(views, (list, tuple)) else views
    count, width = 0, None
    for view in itertools.islice(views, epochs):
        view, labels = check_latents(view), check_labels(y, n_classes)
        if len(view) != len(labels) or len(view) < 2:
            raise ValueError(f"{len(labels)} labels for {len(view)} codes; there must be one a code, and two at least")
        width = width or view.shape[1]
        if view.shape[1] != width:
            raise ValueError(f"the codes of all views must have as many numbers, not {width} and {view.shape[1]}")
        yield torch.from_numpy(view)
        count += 1
    if count < epochs:
        raise ValueError(f"{epochs} epochs need as many views of the images; there were only {count}")


def _fit(model, views, y, config):
    device = get_device()
    y = torch.from_numpy(np.array(y, np.int64)).to(device)
    # the few images left over are for the next epoch: batch norm wants many
    steps = max(1, len(y) // config.batch_size)

    def batches():
        z = next(views).to(device)
        for indices in torch.randperm(len(z)).to(device).split(config.batch_size)[:steps]:
            yield z[indices], y[indices]

    def loss(z, y):
        return {"total": F.cross_entropy(model(z).float(), y, label_smoothing=LABEL_SMOOTHING)}

    fit(model, batches, loss, config, steps=steps)
    return model


def train_linear_classifier(z, y, inverse_penalty=1.0):
    """The linear probe: scikit-learn's multinomial logistic regression on standardised codes `z`, float (N, d).

    `inverse_penalty` is one over the strength of the squared penalty, scikit-learn's C.
    """
    # the default tolerance spends most of the time where accuracy no longer changes
    linear = LogisticRegression(C=inverse_penalty, tol=1e-3, max_iter=1000)
    return make_pipeline(StandardScaler(), linear).fit(*_pair(z, y))


def train_neighbours(z, y):
    """The kNN probe: scikit-learn's weighted vote of the 40 nearest of standardised codes `z`, float (N, d), by their angle."""
    # on the unit sphere the Euclidean distance, for which scikit-learn has its fast search, orders as the angle does
    neighbours = KNeighborsClassifier(min(NEIGHBOURS, len(z)), weights=inverse_square, algorithm="brute")
    return make_pipeline(StandardScaler(), Normalizer(), neighbours).fit(*_pair(z, y))


def inverse_square(distances):
    """The weights of neighbours at `distances` on the unit sphere: one over the cosine distance, up to a factor."""
    return 1 / np.maximum(distances, 1e-4) ** 2


def _pair(z, y):
    z, y = check_latents(z), check_labels(y)
    if len(z) != len(y):
        raise ValueError(f"{len(y)} labels for {len(z)} codes; there must be one a code")
    return z, y


@torch.no_grad()
def predict_logits(classifier, z):
    """The logits that a network gives for latent codes `z`, float32 (N, n_classes)."""
    z, device = check_latents(z), device_of(classifier)
    if z.shape[1] != classifier.latent_dim:
        raise ValueError(f"the classifier was trained on codes of {classifier.latent_dim} numbers, not {z.shape[1]}")
    classifier.eval()
    return np.concatenate([classifier(part.to(device)).cpu().numpy() for part in torch.from_numpy(z).split(500)])


def evaluate_classifier(classifier, z, y):
    """`accuracy`, `top5` and `macro_f1` in [0, 1], and the `predictions`, int64 (N,), on codes `z` and labels `y`."""
    return score_logits(predict_logits(classifier, z), y)


def score_logits(logits, y):
    """`accuracy`, `top5` and `macro_f1` in [0, 1], and the `predictions`, int64 (N,), of finite logits (N, n_classes)."""
    logits = check_latents(logits, "logits")
    n_classes = logits.shape[1]
    _, y = _pair(logits, check_labels(y, n_classes))
    predictions, classes = logits.argmax(1), np.arange(n_classes)
    # with five classes or fewer the right one is always among the first five
    top5 = top_k_accuracy_score(y, logits, k=5, labels=classes) if n_classes > 5 else 1.0
    macro_f1 = f1_score(y, predictions, average="macro", zero_division=0)  # over the classes that occur
    return {"accuracy": accuracy_score(y, predictions), "top5": top5, "macro_f1": macro_f1, "predictions": predictions}


def fit_temperature(logits, y):
    """What logits, float (N, n_classes), are best divided by to be those of probabilities, from 1/20 to 20.

    It minimises the cross-entropy with the labels `y` (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
    """
    found = minimize_scalar(lambda log: -class_bits(logits / np.exp(log), y), bounds=(-3, 3), method="bounded")
    return np.exp(found.x)


def class_bits(logits, y):
    """How many bits of the class logits (N, n_classes) give on average: log2 of the number of classes less the cross-entropy."""
    log_probabilities = log_softmax(np.asarray(logits, np.float64), axis=1)[np.arange(len(y)), y]
    return (np.log(logits.shape[1]) + log_probabilities.mean()) / np.log(2)
