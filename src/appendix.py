"""The notebook's appendices: the marks that the study set itself, and the search behind its settings."""

import pandas as pd

from src.style import READERS
from src.wording import percent

SIZES = (10, 20, 50, 100)
_AT_MOST, _AT_LEAST = "at most", "at least"
TARGETS = [  # what, data set, direction, the mark at each of SIZES
    ("conv: test MSE, share of PCA's", "CIFAR10", _AT_MOST, (0.97, 0.96, 0.94, 0.94)),
    ("conv: test MSE, share of PCA's", "CIFAR100", _AT_MOST, (0.97, 0.96, 0.94, 0.95)),
    ("conv: accuracy of the MLP", "CIFAR10", _AT_LEAST, (0.42, 0.52, 0.59, 0.64)),
    ("conv: accuracy of the MLP", "CIFAR100", _AT_LEAST, (0.20, 0.28, 0.33, 0.36)),
    ("conv: accuracy of the best reader", "CIFAR10", _AT_LEAST, (0.42, 0.52, 0.62, 0.70)),
    ("vae: active units", "CIFAR10", _AT_LEAST, (10, 20, 50, 95)),
    ("vae: active units", "CIFAR100", _AT_LEAST, (10, 20, 50, 95)),
    ("vae: accuracy of the MLP", "CIFAR10", _AT_LEAST, (0.42, 0.52, 0.59, 0.63)),
]


def compare_with_targets(results):
    """A row a mark: `what`, `dataset`, `latent_dim`, the `target`, what was `measured` (mean over seeds), `reached`."""
    means = results.groupby(["dataset", "autoencoder", "latent_dim"]).mean(numeric_only=True)
    rows = []
    for what, dataset, direction, marks in TARGETS:
        for size, mark in zip(SIZES, marks, strict=True):
            if (dataset, "conv", size) not in means.index:
                continue
            measured = _measure(what, means.loc[dataset], size)
            reached = measured <= mark if direction == _AT_MOST else measured >= mark
            rows.append((what, dataset, size, f"{direction} {mark:g}", measured, reached))
    return pd.DataFrame(rows, columns=["what", "dataset", "latent_dim", "target", "measured", "reached"])


def _measure(what, means, size):
    name, quantity = what.split(": ")
    row = means.loc[name, size]
    if quantity.startswith("test MSE"):
        return row.test_mse / means.loc["pca", size].test_mse
    if quantity == "active units":
        return row.active_units
    return row.accuracy_mlp if quantity == "accuracy of the MLP" else row[list(READERS)].max()


def targets(compared):
    """How many of the marks of `compare_with_targets` are reached, and which are missed, by how much."""
    missed = compared[~compared.reached]
    lines = [
        f"{compared.reached.sum()} of {len(compared)} marks are reached{'.' if missed.empty else '; missed are:'}",
        "",
    ]
    for row in missed.itertuples():
        lines.append(
            f"- {row.dataset}, {row.what}, d = {row.latent_dim}: {row.measured:.4g}, the mark is {row.target}."
        )
    return "\n".join(lines)


def search(trials):
    """What the search on the validation split says of the choices that were made."""
    lines = []
    for (dataset, what, size), rows in trials.dropna(subset="val_accuracy").groupby(["dataset", "what", "latent_dim"]):
        best, taken = rows.loc[rows.val_accuracy.idxmax()], rows[rows.setting.str.contains("(taken)", regex=False)]
        beside = f"; what was taken has {percent(taken.val_accuracy.max())}" if len(taken) else ""
        lines.append(
            f"- {dataset}, {what}, d = {size}: of {len(rows)} trials the highest validation accuracy, {percent(best.val_accuracy)}, is "
            f"that of: {best.setting} ({best.autoencoder}){beside}."
        )
    return "\n".join(lines)
