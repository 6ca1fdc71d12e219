"""Figures of the results: each function takes rows or images, returns a matplotlib Figure, and saves nothing.

`results` is the table of `reports/results.csv` as a pandas DataFrame; where it has several seeds, figures show the
mean and, as error bars, the standard deviation over them.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from sklearn.metrics import confusion_matrix

from src.cifar import CLASSES
from src.style import COLOURS, LABELS, LINES, MARKERS, MSE_LABEL, show_image

CODES = ("pca", "conv", "vae")
WEIGHTS = {"conv": {"ms": 7, "lw": 2.4}, "vae": {"ms": 4, "lw": 1.2}, "pca": {"ms": 5, "lw": 1.4}}  # none hides another
VAE_TERMS = {"kl": "VAE: KL divergence", "total": "VAE: objective, up to a constant"}


def training_curves(histories, dataset, pca):
    """Loss against epoch: `histories` maps (autoencoder, latent size) to a history, `pca` a latent size to its error.

    A panel a latent size for the squared error on pixels, which both families have; then the two terms that only the
    VAE has, its divergence from the prior and its whole objective.
    """
    sizes = sorted({size for _, size in histories})
    figure, axes = plt.subplots(2, (len(sizes) + 3) // 2, figsize=(10.5, 6.4), sharex=True)
    for ax, size in zip(axes.flat, sizes, strict=False):
        for name in [name for name, d in histories if d == size]:
            _curve(ax, histories[name, size], "reconstruction", COLOURS[name], LINES[dataset], LABELS[name])
        ax.axhline(pca[size], color=COLOURS["pca"], ls=":", label="PCA, validation")
        ax.set(title=f"d = {size}", ylabel=MSE_LABEL)
    vae = {size: history for (_, size), history in histories.items() if "val_kl" in history[0]}
    for ax, term in zip(axes.flat[len(sizes) :], VAE_TERMS, strict=False):
        for size, history in vae.items():
            _curve(ax, history, term, COLOURS["vae"], LINES[dataset], None)
            end = (history[-1]["epoch"], history[-1][f"val_{term}"])
            ax.annotate(f"d = {size}", end, (0, 4), textcoords="offset points", ha="right", fontsize=8)
        ax.set(title=VAE_TERMS[term], ylabel="nats an image")
        ax.margins(y=0.12)
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(f"{dataset}: loss on training (thin) and validation images (dots); the VAE's from a sampled code")
    return figure


def _curve(ax, history, term, colour, line, label):
    epochs = [record["epoch"] for record in history]
    for part, style in (("train", {"lw": 0.8}), ("val", {"lw": 1.6, "marker": "o", "ms": 3, "label": label})):
        ax.plot(epochs, [record[f"{part}_{term}"] for record in history], line, color=colour, **style)


def summarise(results, value):
    """Mean and standard deviation of a column over seeds, for every data set, autoencoder and latent size."""
    groups = results.groupby(["dataset", "autoencoder", "latent_dim"])[value]
    return groups.agg(["mean", "std"]).fillna({"std": 0}).reset_index()


def _against_latent_size(ax, summary, dataset, names, scale=1.0):
    """A line an autoencoder, with the standard deviation over seeds as error bars."""
    for name in names:
        rows = summary[(summary.dataset == dataset) & (summary.autoencoder == name)]
        style = {"color": COLOURS[name], "marker": MARKERS[name], "ls": LINES[dataset], "capsize": 2}
        style |= WEIGHTS[name]
        ax.errorbar(rows.latent_dim, scale * rows["mean"], scale * rows["std"], label=LABELS[name], **style)
    _latent_axis(ax, sorted(summary[summary.autoencoder.isin(names)].latent_dim.unique()))


def _latent_axis(ax, sizes):
    ax.set_xscale("log")
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.minorticks_off()
    ax.set_xlabel("latent size d")


def reconstruction_error(results, prior):
    """Squared error on test images against latent size, and the same as a share of PCA's; `prior` the prior work's."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2))
    summary = summarise(results, "test_mse")
    pca = summary[summary.autoencoder == "pca"].set_index(["dataset", "latent_dim"])["mean"].rename("pca")
    share = summary[summary.autoencoder.isin(("conv", "vae"))].join(pca, on=["dataset", "latent_dim"])
    share[["mean", "std"]] *= (100 / share.pca).to_numpy()[:, None]
    prior = prior.set_index(["dataset", "latent_dim"]).test_mse
    for dataset in results.dataset.unique():
        _against_latent_size(axes[0], summary, dataset, CODES)
        _against_latent_size(axes[1], share, dataset, ("conv", "vae"))
        for ax, values in ((axes[0], prior[dataset]), (axes[1], 100 * prior[dataset] / pca[dataset])):
            ax.plot(
                values, ls=LINES[dataset], marker="x", lw=0.8, color=COLOURS["prior work"], label=LABELS["prior work"]
            )
    axes[0].set(title="reconstruction error on test images", ylabel=MSE_LABEL)
    axes[0].set_ylim(0)
    axes[1].axhline(100, color=COLOURS["pca"], lw=1, ls=":", label="PCA")
    axes[1].set(title="the same, as a share of PCA's", ylabel="share of PCA's error (%)")
    for ax in axes:
        _legend(ax, results.dataset.unique())
    return figure


def _legend(ax, datasets, **where):
    """Each model once, in its colour; then, where there are several data sets, what their line styles mean."""
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    if len(datasets) > 1:
        handles |= {name: Line2D([], [], color="black", ls=LINES[name]) for name in datasets}
    ax.legend(handles.values(), handles.keys(), fontsize=8, **where)


def classifier_accuracy(results, prior, confusions):
    """MLP accuracy on test codes against latent size with its baselines, and who is taken for whom.

    `confusions` maps a data set to true and predicted labels and the names of the classes, for the largest conv code.
    """
    datasets = list(results.dataset.unique())
    size = (5.6 * len(datasets), 11.5)
    figure, axes = plt.subplots(2, len(datasets), figsize=size, height_ratios=(1, 1.45), squeeze=False)
    for (top, bottom), dataset in zip(axes.T, datasets, strict=True):
        _accuracy_panel(top, results[results.dataset == dataset], prior[prior.dataset == dataset], dataset)
        confusion(bottom, *confusions[dataset])
        size = results[results.autoencoder == "conv"].latent_dim.max()
        bottom.set_title(f"{dataset}: {LABELS['conv']}, d = {size}")
    return figure


def _accuracy_panel(ax, results, prior, dataset):
    _against_latent_size(ax, summarise(results, "accuracy_mlp").dropna(), dataset, CODES, scale=100)
    if prior.accuracy.notna().any():
        ax.plot(prior.latent_dim, 100 * prior.accuracy, "x", color=COLOURS["prior work"], label=LABELS["prior work"])
    for name in ("pixels", "spatial", "spatial_finetuned"):
        level = 100 * results[results.autoencoder == name].accuracy_linear.mean()
        ax.axhline(level, color=COLOURS[name], ls=":", label=f"{LABELS[name]} ({level:.1f} %)")
    chance = 100 / len(CLASSES[dataset])
    ax.axhline(chance, color="#999999", ls=":", label=f"chance ({chance:.0f} %)")
    ax.set(title=f"{dataset}: a classifier (MLP) on the code", ylabel="test accuracy (%)")
    ax.set_ylim(0)
    _legend(ax, [dataset], loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)


def confusion(ax, truth, predicted, names):
    """A confusion matrix: of the images of each class (row), the share in per cent taken for each class (column)."""
    matrix = 100 * confusion_matrix(truth, predicted, labels=np.arange(len(names)), normalize="true")
    ax.imshow(matrix, cmap="Blues", vmin=0, vmax=100)
    smallest = len(names) / 10  # what is left out of the picture would be too many small numbers
    for row, column in zip(*np.nonzero(matrix >= smallest), strict=True):
        colour = "white" if matrix[row, column] > 55 else "#222222"
        text = f"{matrix[row, column]:.0f}"
        ax.text(column, row, text, ha="center", va="center", fontsize=100 / (len(names) + 2), color=colour)
    ax.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.grid(False)
    ax.set(xlabel=f"predicted class (%, from {smallest:.0f} up)", ylabel="true class")


def reconstructions(originals, rebuilt, dataset):
    """The same images at every latent size: originals on top, then a row for each (autoencoder, latent size)."""
    rows = {"original": originals / 255}
    for (name, size), images in rebuilt.items():
        error = np.square(images - originals / 255).mean()
        rows[f"{LABELS[name]}, d = {size}\nMSE {error:.4f}"] = images
    figure, axes = plt.subplots(len(rows), len(originals), figsize=(0.78 * len(originals) + 1.9, 0.8 * len(rows)))
    for (label, images), line in zip(rows.items(), axes, strict=True):
        for ax, image in zip(line, images, strict=True):
            show_image(ax, image)
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    figure.suptitle(f"{dataset}: test images, and what is left of them (MSE of these {len(originals)} images)")
    return figure
