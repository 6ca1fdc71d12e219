"""Figures of the image that a code keeps: each function takes rows or images, returns a matplotlib Figure, and saves nothing.

`results` is the table of `reports/results.csv` as a pandas DataFrame; where it has several seeds, figures show the
mean and, as error bars, the standard deviation over them.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from src.report.style import (
    LINES,
    PRIOR,
    against_latent_size,
    colour,
    image_grid,
    label,
    legend_of_models,
    share_of_pca,
    show_image,
    summarise,
)


def training_curves(histories, dataset, pca):
    """Squared error against epoch, a panel a latent size.

    `histories` maps (autoencoder, latent size) to a history, `pca` a latent size to PCA's validation error.
    """
    sizes = sorted({size for _, size in histories})
    figure, axes = plt.subplots(1, len(sizes), figsize=(1.2 + 2.3 * len(sizes), 3.2), squeeze=False)
    for ax, size in zip(axes.flat, sizes, strict=True):
        for name in [name for name, d in histories if d == size]:
            history, style = pd.DataFrame(histories[name, size]), {"color": colour(name), "ls": LINES.get(dataset, ":")}
            ax.plot(history.epoch, 1000 * history.train_reconstruction, lw=0.8, **style)
            ax.plot(history.epoch, 1000 * history.val_reconstruction, marker="o", ms=3, label=label(name), **style)
        if size in pca:
            ax.axhline(1000 * pca[size], color=colour("pca"), ls=":", label="PCA, validation")
        ax.set(title=f"d = {size}", xlabel="epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].set_ylabel("MSE (10$^{-3}$, pixels in [0, 1])")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    figure.suptitle(f"{dataset}: mean error during each epoch (thin) and on validation images after it (dots)")
    return figure


def error_beside_pca(results, prior, names):
    """Squared error on test images as a share of PCA's at the same size; `prior` is the prior work's, None to leave it out."""
    figure, ax = plt.subplots(figsize=(7, 4.2))
    summary = summarise(results, "test_mse")
    share = share_of_pca(summary)
    for dataset in results.dataset.unique():
        against_latent_size(ax, share, dataset, names)
    if prior is not None:
        pca = summary[summary.autoencoder == "pca"]
        theirs = prior.rename(columns={"test_mse": "mean"}).assign(autoencoder="prior", std=0.0)
        theirs = share_of_pca(pd.concat([pca, theirs[pca.columns]]))
        for dataset, rows in theirs[theirs.autoencoder == "prior"].groupby("dataset"):
            ax.plot(rows.latent_dim, rows["mean"], ls=LINES.get(dataset, ":"), **PRIOR)
    ax.axhline(100, color=colour("pca"), lw=1, ls=":", label="PCA")
    ax.set(title="Reconstruction error beside PCA's, test images", ylabel="share of PCA's MSE (%)")
    legend_of_models(ax, results.dataset.unique())
    return figure


def reconstructions(originals, reconstructed, dataset):
    """The same images at every latent size: originals on top, then a row for each (autoencoder, latent size)."""
    rows = {"original": originals / 255}
    for (name, size), images in reconstructed.items():
        error = np.square(images - originals / 255).mean()
        rows[f"{label(name)}, d = {size}\nMSE {error:.4f}"] = images
    return image_grid(rows, f"{dataset}: test images and their reconstructions (MSE of these {len(originals)} images)")


def pipeline(image, code, reconstruction, model, probabilities):
    """The study on one image: the image, its code, the reconstruction, and the classes that a probe reads from the code.

    `image` uint8 (32, 32, 3), `code` (d,), `reconstruction` in [0, 1], `probabilities` a Series by class.
    """
    error = np.square(image / 255 - reconstruction).mean()
    figure = plt.figure(figsize=(9, 3.4))
    grid = figure.add_gridspec(2, 3, width_ratios=(1, 1.7, 1))
    left, middle, top, bottom = (
        figure.add_subplot(place) for place in (grid[:, 0], grid[:, 1], grid[0, 2], grid[1, 2])
    )
    show_image(left, image, "image x, 3,072 numbers", size=10)
    middle.bar(np.arange(len(code)), code, color=colour(model.name))
    middle.set(title=f"→  latent code z = encode(x), {len(code)} numbers", xlabel="latent unit", ylabel="value")
    show_image(top, reconstruction, f"→  decode(z), MSE {error:.4f}", size=10)
    _probable_classes(bottom, probabilities.nlargest(3))
    bottom.set(title="→  MLP probe on z", xlabel="probability (%)")
    bottom.title.set_fontsize(10)
    figure.suptitle(f"One image through the {label(model.name)}")
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
