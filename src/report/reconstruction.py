"""Figures of the image that a code keeps: each function takes rows or images, returns a matplotlib Figure, and saves nothing.

`results` is the table of `reports/results.csv` as a pandas DataFrame; where it has several seeds, figures show the
mean and, as error bars, the standard deviation over them.
"""

from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from src.report.style import (
    LINES,
    PRIOR,
    colour,
    image_grid,
    label,
    label_ends,
    latent_axis,
    legend_of_models,
    line_style,
    share_of_pca,
    show_image,
    summarise,
)


def training_curves(histories, pca, title="Validation error in training"):
    """Squared error on validation images as a share of PCA's, against epoch, a panel for each data set.

    `histories` maps (data set, autoencoder, latent size) to a history, `pca` (data set, latent size) to PCA's validation error.
    """
    datasets = list(dict.fromkeys(dataset for dataset, _, _ in histories))
    figure, axes = plt.subplots(1, len(datasets), figsize=(4.6 * len(datasets), 3.8), squeeze=False, sharey=True)
    for ax, name in zip(axes[0], datasets, strict=True):
        ends = []
        for (dataset, autoencoder, size), history in histories.items():
            if dataset == name and (dataset, size) in pca:
                epochs = [record["epoch"] for record in history]
                shares = [100 * record["val_reconstruction"] / pca[dataset, size] for record in history]
                ax.plot(epochs, shares, **line_style(autoencoder, dataset) | {"ms": 3})
                ends.append((epochs[-1], shares[-1], f"d = {size}", colour(autoencoder)))
        ax.axhline(100, color=colour("pca"), ls=":", label="PCA")
        ax.set(title=name, xlabel="epoch")
        ax.margins(x=0.12)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        label_ends(ax, ends)
    axes[0, 0].set_ylabel("share of PCA's MSE (%)")
    legend_of_models(axes[0, 0], [])
    figure.suptitle(title)
    return figure


def error_beside_pca(results, prior, names, title="Reconstruction error beside PCA's"):
    """Squared error on test images as a share of PCA's at the same size; `prior` is the prior work's, None to leave it out."""
    figure, ax = plt.subplots(figsize=(7, 4.2))
    summary = summarise(results, "test_mse")
    share = share_of_pca(summary)
    for dataset, name in product(results.dataset.unique(), names):
        rows = share[(share.dataset == dataset) & (share.autoencoder == name)]
        if len(rows):
            ax.errorbar(rows.latent_dim, rows["mean"], rows["std"], **line_style(name, dataset))
    latent_axis(ax, share[share.autoencoder.isin(names)].latent_dim.unique())
    if prior is not None:
        pca = summary[summary.autoencoder == "pca"]
        theirs = prior.rename(columns={"test_mse": "mean"}).assign(autoencoder="prior", std=0.0)
        theirs = share_of_pca(pd.concat([pca, theirs[pca.columns]]))
        for dataset, rows in theirs[theirs.autoencoder == "prior"].groupby("dataset"):
            ax.plot(rows.latent_dim, rows["mean"], ls=LINES.get(dataset, ":"), **PRIOR)
    ax.axhline(100, color=colour("pca"), lw=1, ls=":", label="PCA")
    ax.set(title=title, ylabel="share of PCA's test MSE (%)")
    legend_of_models(ax, results.dataset.unique())
    return figure


def reconstructions(originals, reconstructed, dataset):
    """The same images as every code keeps them: originals on top, then a row for each (autoencoder, latent size)."""
    rows = {"original": originals / 255}
    for (name, size), images in reconstructed.items():
        error = 1000 * np.square(images - originals / 255).mean()
        rows[f"{label(name)}, d = {size}\nMSE {error:.1f}"] = images
    return image_grid(rows, f"{dataset}: test images and their reconstructions (MSE in thousandths)")


def pipeline(image, code, reconstruction, model, probabilities):
    """The study on one image: the image, its code, the reconstruction, and the classes that a probe reads from the code.

    `image` uint8 (32, 32, 3), `code` (d,), `reconstruction` in [0, 1], `probabilities` a Series by class.
    """
    error = 1000 * np.square(image / 255 - reconstruction).mean()
    figure, (left, middle, right, last) = plt.subplots(1, 4, figsize=(10, 2.7))
    show_image(left, image, "image, 3,072 numbers", size=10)
    middle.bar(np.arange(len(code)), code, color=colour(model.name))
    middle.set(xlabel="latent unit", ylabel="value")
    middle.set_title(f"→  code, {len(code)} numbers", fontsize=10)
    show_image(right, reconstruction, f"→  image, MSE {error:.1f} thousandths", size=10)
    _probable_classes(last, probabilities.nlargest(3))
    last.set(xlabel="probability (%)")
    last.set_title("→  class, by the MLP probe", fontsize=10)
    for ax in (middle, last):
        ax.set_box_aspect(1)  # as large as the images
    figure.suptitle(f"One image and its code: {label(model.name)}")
    return figure


def probabilities(images, tables, names=()):
    """The classes that the MLP probe finds most probable: one row per image, one column per latent size.

    `images` (N, 32, 32, 3) have their `names` beside them; `tables` maps a latent size to the table of `classify`,
    probabilities (N, classes).
    """
    size = (1.2 + 1.9 * len(tables), 1.05 * len(images) + 0.8)
    widths = [0.55] + [1] * len(tables)
    figure, axes = plt.subplots(len(images), 1 + len(tables), figsize=size, width_ratios=widths, squeeze=False)
    for row, (line, image) in enumerate(zip(axes, images, strict=True)):
        show_image(line[0], image)
        for ax, (dim, table) in zip(line[1:], tables.items(), strict=True):
            _probable_classes(ax, table.iloc[row].nlargest(3))
            if row == 0:
                ax.set_title(f"d = {dim}", fontsize=10)
            ax.tick_params(labelbottom=row == len(images) - 1, labelsize=8)
    for ax, name in zip(axes[:, 0], names, strict=False):
        ax.set_ylabel(name, fontsize=8)
    for ax in axes[-1, 1:]:
        ax.set_xlabel("probability (%)", fontsize=9)
    figure.suptitle("The class that the MLP probe reads from the code")
    return figure


def _probable_classes(ax, likely):
    ax.barh(range(len(likely)), 100 * likely[::-1], color=colour("pixels"), alpha=0.4)
    for position, (name, value) in enumerate(likely[::-1].items()):
        ax.text(2, position, f"{name}, {100 * value:.0f} %", va="center", fontsize=8)
    ax.set(xlim=(0, 100), yticks=[])
    ax.grid(False)
