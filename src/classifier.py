"""The reader of a code: a classifier on latent vectors that stay as they are, and what it gets right."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, classification_report, f1_score, top_k_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from src.data_loader import check_labels, describe
from src.utils import get_device, mixed_precision, seed_everything


@dataclass(frozen=True)
class ClassifierConfig:
    """How the multilayer perceptron is built and trained: AdamW under a one-cycle schedule.

    Chosen by the validation accuracy on the code, 100 numbers of CIFAR-10, of an earlier autoencoder. With 12 epochs:
    63.1 % at the learning rate taken, 62.6 % at 3e-3, 60.6 % at 3e-3 with a dropout of 0.5. With 8 epochs, in two
    thirds of the time, 62.1 %, and 61.5 % with layer in place of batch normalisation.
    """

    epochs: int = 8
    batch_size: int = 512
    learning_rate: float = 1e-2
    weight_decay: float = 0.05
    hidden: int = 512
    dropout: float = 0.3
    label_smoothing: float = 0.1


class LatentClassifier(nn.Module):
    """A multilayer perceptron with two hidden layers that standardises the latent vectors by itself.

    Takes z, float32 (N, latent_dim); gives logits, float32 (N, n_classes).
    """

    def __init__(self, latent_dim, n_classes, hidden=512, dropout=0.3):
        super().__init__()
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("std", torch.ones(latent_dim))
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, hidden), nn.BatchNorm1d(hidden), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(hidden, n_classes),
        )  # fmt: skip

    def forward(self, z):
        return self.layers((z - self.mean) / self.std)


def train_classifier(z, y, n_classes, config=ClassifierConfig(), seed=0):
    """Train a LatentClassifier on latent vectors `z`, float (N, d), and labels `y`, integers (N,) in [0, n_classes).

    The encoder is not here and cannot move: what is learnt from is the vectors alone. Raises ValueError for vectors
    or labels of another shape, type or range, or with values that are not finite.
    """
    z = check_latents(z)
    check_labels(y, n_classes, len(z))
    if len(z) < 2:
        raise ValueError("one latent vector is too few to learn from; at least two are needed")
    seed_everything(seed)
    device = get_device()
    z, y = torch.from_numpy(z).to(device), torch.from_numpy(y.astype(np.int64)).to(device)
    model = LatentClassifier(z.shape[1], n_classes, config.hidden, config.dropout).to(device)
    model.mean.copy_(z.mean(0))
    model.std.copy_(z.std(0, correction=0).clamp(min=1e-6))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=config.weight_decay)
    batches = max(1, len(z) // config.batch_size)  # the few that are left over come next time: batch norm wants many
    steps = config.epochs * batches
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps)
    for _ in range(config.epochs):
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
    # a tolerance that is reached: the default one spends most of the time where accuracy no longer changes
    return make_pipeline(StandardScaler(), LogisticRegression(C=penalty, tol=1e-3, max_iter=300)).fit(z, y)


@torch.no_grad()
def predict_logits(classifier, z):
    """The classifier's logits for latent vectors `z`, float32 (N, n_classes)."""
    z, width = check_latents(z), len(classifier.mean)
    if z.shape[1] != width:
        raise ValueError(f"the classifier was trained on vectors of {width} numbers, not {z.shape[1]}")
    return classifier(torch.from_numpy(z).to(classifier.mean.device)).cpu().numpy()


def evaluate_classifier(classifier, z, y):
    """`accuracy`, `top5` and `macro_f1` in [0, 1], and the `predictions`, int64 (N,), on vectors `z` and labels `y`."""
    logits = predict_logits(classifier, z)
    check_labels(y, logits.shape[1], len(z))
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
    return z.astype(np.float32, copy=False)
