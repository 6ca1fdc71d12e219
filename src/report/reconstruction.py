"""Figures of the image that a code keeps: each function takes rows or images, returns a matplotlib Figure, and saves nothing.

`results` is the table of `reports/results.csv` as a pandas DataFrame; where it has several seeds, figures show the
mean and, as error bars, the standard deviation over them.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, MaxNLocator

from src.report.latent import image_grid
from src.report.style import (
    LINES,
    PRIOR,
    against_latent_size,
    colour,
    label,
    legend_of_models,
    line_style,
    share_of_pca,
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


def denoising(errors):
    """Error of the reconstruction against the clean image, for test images with more and more noise.

    `errors` has a row for every `dataset`, `autoencoder`, `latent_dim` and `noise` with the error in `mse`.
    """
    datasets, sizes = errors.dataset.unique(), sorted(errors.latent_dim.unique())
    shape = (len(datasets), len(sizes))
    size = (2.3 * shape[1] + 0.8, 2.2 * shape[0] + 0.9)
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, sharex=True)
    for line, dataset in zip(axes, datasets, strict=True):
        for ax, size in zip(line, sizes, strict=True):
            rows = errors[(errors.dataset == dataset) & (errors.latent_dim == size)]
            for name in rows.autoencoder.unique():
                chosen = rows[rows.autoencoder == name]
                ax.errorbar(chosen.noise, chosen.mse, **line_style(name, dataset) | {"ms": 4})
            ax.set_title(f"{dataset}, d = {size}", fontsize=10)
            ax.set_ylim(0, 1.05 * rows.mse.max())
        line[0].set_ylabel("MSE against\nthe clean image")
    for ax in axes[-1]:
        ax.set_xlabel("noise (std)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    figure.suptitle("Reconstructing clean images from noisy ones")
    return figure


def reconstructions(originals, reconstructed, dataset):
    """The same images at every latent size: originals on top, then a row for each (autoencoder, latent size)."""
    rows = {"original": originals / 255}
    for (name, size), images in reconstructed.items():
        error = np.square(images - originals / 255).mean()
        rows[f"{label(name)}, d = {size}\nMSE {error:.4f}"] = images
    return image_grid(rows, f"{dataset}: test images and their reconstructions (MSE of these {len(originals)} images)")


def training_time(rows, pca):
    """Validation error and MLP accuracy against seconds of training, a column a latent size.

    `rows`, of one data set, has a row for every `autoencoder`, `latent_dim` and `epochs`; `pca` is indexed by latent size.
    """
    sizes = sorted(rows.latent_dim.unique())
    figure, axes = plt.subplots(2, len(sizes), figsize=(4.4 * len(sizes), 5.6), squeeze=False, sharex=True)
    for line, column, scale in zip(axes, ("val_mse", "accuracy_mlp"), (1000, 100), strict=True):
        for ax, size in zip(line, sizes, strict=True):
            for name, chosen in rows[rows.latent_dim == size].sort_values("epochs").groupby("autoencoder"):
                style = {"color": colour(name), "marker": "o", "ms": 4, "label": label(name)}
                ax.plot(chosen.autoencoder_seconds, scale * chosen[column], **style)
                for second, value, epochs in chosen[["autoencoder_seconds", column, "epochs"]].to_numpy():
                    where = {"xytext": (3, 3), "textcoords": "offset points", "fontsize": 7}
                    ax.annotate(f"{epochs:.0f}", (second, scale * value), **where)
            ax.axhline(scale * pca.loc[size, column], color=colour("pca"), ls=":", label="PCA")
    for (top, bottom), size in zip(axes.T, sizes, strict=True):
        top.set_title(f"d = {size}")
        bottom.set(xscale="log", xmargin=0.1, xlabel="seconds of training, one core (log scale)")
        bottom.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        bottom.xaxis.set_major_formatter("{x:.0f}")
        bottom.minorticks_off()
    axes[0, 0].set_ylabel("validation MSE (10$^{-3}$)")
    axes[1, 0].set_ylabel("test accuracy, MLP probe (%)")
    axes[0, 0].legend(fontsize=8)
    figure.suptitle(f"{rows.dataset.iloc[0]}: what training buys (at the points: epochs)")
    return figure
