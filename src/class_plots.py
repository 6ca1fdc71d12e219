"""Figures of the class that can be read from a code; as in `plots`, each takes rows and returns a matplotlib Figure."""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import confusion_matrix

from src.cifar import CLASSES
from src.plots import CODES, WEIGHTS, against_latent_size, latent_axis, legend_of_models, summarise
from src.style import COLOURS, LABELS, LINES, MARKERS, MSE_LABEL, READER_MARKERS, READERS

BOUNDS = ("random", "supervised")


def readers(results):
    """Test accuracy of every reader against latent size: of the convolutional autoencoder's code, and of PCA's."""
    datasets = results.dataset.unique()
    figure, axes = plt.subplots(1, len(datasets), figsize=(5.2 * len(datasets), 5.2), squeeze=False)
    for ax, dataset in zip(axes[0], datasets, strict=True):
        for reader, label in READERS.items():
            summary = summarise(results[results.dataset == dataset], reader).dropna()
            for name, weight in (("pca", 0.8), ("conv", 1.4)):
                rows = summary[summary.autoencoder == name]
                style = {"color": COLOURS[name], "marker": READER_MARKERS[reader], "ls": LINES[dataset], "lw": weight}
                style |= {"label": f"{LABELS[name]}: {label}", "capsize": 2}
                ax.errorbar(rows.latent_dim, 100 * rows["mean"], 100 * rows["std"], **style)
        sizes = sorted(results[results.autoencoder == "conv"].latent_dim.unique())
        latent_axis(ax, sizes)
        level = 100 * results[(results.dataset == dataset) & (results.autoencoder == "pixels")].accuracy_conv.mean()
        ax.axhline(level, color=COLOURS["pixels"], ls=":", label="convolutions on the originals")
        ax.text(sizes[0], level, f"originals ({level:.1f} %)", color=COLOURS["pixels"], fontsize=8, va="bottom")
        ax.set(title=f"{dataset}: the same codes, several readers", ylabel="test accuracy (%)")
        ax.set_ylim(0)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(datasets), fontsize=8)
    return figure


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
    names = [name for name in (*CODES, *BOUNDS) if name in set(results.autoencoder)]
    against_latent_size(ax, summarise(results, "accuracy_mlp").dropna(), dataset, names, scale=100)
    if prior.accuracy.notna().any():
        ax.plot(prior.latent_dim, 100 * prior.accuracy, "x", color=COLOURS["prior work"], label=LABELS["prior work"])
    for name in ("pixels", "spatial", "spatial_finetuned"):
        level = 100 * results[results.autoencoder == name].accuracy_mlp.mean()
        ax.axhline(level, color=COLOURS[name], ls=":", label=f"{LABELS[name]} ({level:.1f} %)")
    chance = 100 / len(CLASSES[dataset])
    ax.axhline(chance, color="#999999", ls=":", label=f"chance ({chance:.0f} %)")
    ax.set(title=f"{dataset}: a classifier (MLP) on the code", ylabel="test accuracy (%)")
    ax.set_ylim(0)
    legend_of_models(ax, [dataset], loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)


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


def class_accuracy(predictions, dataset):
    """Test accuracy of every class, on CIFAR-100 of every superclass, at each latent size.

    `predictions` maps a latent size to the predicted classes of the test images of the ImageDataset `dataset`.
    """
    truth, names = dataset.by_superclass(dataset.y_test)
    shares = {}
    for size, predicted in predictions.items():
        matrix = confusion_matrix(truth, dataset.by_superclass(predicted)[0], normalize="true")
        shares[size] = 100 * matrix.diagonal()
    order = np.argsort(shares[max(shares)])
    figure, ax = plt.subplots(figsize=(7, 1.3 + 0.26 * len(names)))
    for position, (size, values) in enumerate(sorted(shares.items())):
        strength = (position + 1) / len(shares)
        style = {"color": COLOURS["conv"], "alpha": strength, "s": 18 + 22 * strength, "label": f"d = {size}"}
        ax.scatter(values[order], range(len(names)), **style)
    ax.set_yticks(range(len(names)), [names[i] for i in order])
    ax.set(xlabel="test images of the class that are recognised (%)", xlim=(0, 100))
    ax.set_title(
        f"{dataset.name}: the MLP on the convolutional code, by {'class' if len(names) == 10 else 'superclass'}"
    )
    ax.legend(fontsize=8)
    return figure


def error_against_accuracy(results):
    """What is left of the class against what is lost of the image, a point a latent size."""
    figure, ax = plt.subplots(figsize=(7, 4.6))
    for dataset in results.dataset.unique():
        for name in CODES:
            rows = results[(results.dataset == dataset) & (results.autoencoder == name)].groupby("latent_dim")
            mean, spread = (rows[["test_mse", "accuracy_mlp"]].agg(how).fillna(0) for how in ("mean", "std"))
            style = {"color": COLOURS[name], "marker": MARKERS[name], "ls": LINES[dataset], "capsize": 2}
            points = (mean.test_mse, 100 * mean.accuracy_mlp, 100 * spread.accuracy_mlp, spread.test_mse)
            ax.errorbar(*points, label=LABELS[name], **style, **WEIGHTS[name])
        for size, point in mean.iterrows():
            place = (point.test_mse, 100 * point.accuracy_mlp)
            ax.annotate(f"d = {size}", place, (0, -13), textcoords="offset points", ha="right", fontsize=8)
    ax.set_xscale("log")
    ax.margins(x=0.1)
    ax.set(xlabel=f"{MSE_LABEL} (test, log scale)", ylabel="test accuracy of the MLP (%)")
    ax.set_title("The class that can be read against the image that is lost")
    ax.set_ylim(0)
    legend_of_models(ax, results.dataset.unique())
    return figure


def objectives(results):
    """Test accuracy of every reader and test error, an objective a line; `results` at one latent size and seed."""
    datasets = results.dataset.unique()
    figure, axes = plt.subplots(len(datasets), 2, figsize=(10, 0.8 + 3 * len(datasets)), squeeze=False, sharey="row")
    for (left, right), dataset in zip(axes, datasets, strict=True):
        rows = results[results.dataset == dataset].sort_values("accuracy_mlp")
        names = [LABELS[name] for name in rows.autoencoder]
        colours = [COLOURS[name] for name in rows.autoencoder]
        for reader in ("accuracy_linear", "accuracy_knn", "accuracy_mlp"):
            left.scatter(100 * rows[reader], names, c=colours, marker=READER_MARKERS[reader], s=45)
            left.scatter([], [], color="black", marker=READER_MARKERS[reader], label=READERS[reader])
        right.barh(names, rows.test_mse, color=colours)
        left.set(title=f"{dataset}: the class", xlabel="test accuracy (%)")
        right.set(title=f"{dataset}: the image", xlabel=MSE_LABEL)
    figure.legend(*left.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=3)
    figure.suptitle(f"One network, several objectives, d = {results.latent_dim.iloc[0]}")
    return figure
