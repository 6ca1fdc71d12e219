"""Figures of the results: each function takes rows or images, returns a matplotlib Figure, and saves nothing.

`results` is the table of `reports/results.csv` as a pandas DataFrame; where it has several seeds, figures show the
mean and, as error bars, the standard deviation over them.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter

from src.latent_plots import image_grid
from src.style import COLOURS, LABELS, LINES, MARKERS, MSE_LABEL

CODES = ("pca", "conv", "vae")
BOUNDS = ("random", "supervised")
WEIGHTS = {  # none hides another
    "conv": {"ms": 7, "lw": 2.4},
    "vae": {"ms": 4, "lw": 1.2},
    "pca": {"ms": 5, "lw": 1.4},
    "random": {"ms": 5, "lw": 1.0},
    "supervised": {"ms": 8, "lw": 1.0},
    "nested": {"ms": 6, "lw": 1.4},
}
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
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
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


def against_latent_size(ax, summary, dataset, names, scale=1.0):
    """A line an autoencoder, with the standard deviation over seeds as error bars."""
    for name in names:
        rows = summary[(summary.dataset == dataset) & (summary.autoencoder == name)]
        style = {"color": COLOURS[name], "marker": MARKERS[name], "ls": LINES[dataset], "capsize": 2}
        style |= WEIGHTS[name]
        ax.errorbar(rows.latent_dim, scale * rows["mean"], scale * rows["std"], label=LABELS[name], **style)
    latent_axis(ax, sorted(summary[summary.autoencoder.isin(names)].latent_dim.unique()))


def latent_axis(ax, sizes):
    ax.set_xscale("log")
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.minorticks_off()
    ax.set_xlabel("latent size d")


def reconstruction_error(results, prior):
    """Squared error on test images against latent size, and the same as a share of PCA's; `prior` the prior work's."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2))
    summary = summarise(results, "test_mse")
    pca = summary[summary.autoencoder == "pca"].set_index(["dataset", "latent_dim"])["mean"]
    share = share_of_pca(summary, ("conv", "vae"))
    prior = prior.set_index(["dataset", "latent_dim"]).test_mse
    for dataset in results.dataset.unique():
        against_latent_size(axes[0], summary, dataset, CODES)
        against_latent_size(axes[1], share, dataset, ("conv", "vae"))
        for ax, values in ((axes[0], prior[dataset]), (axes[1], 100 * prior[dataset] / pca[dataset])):
            ax.plot(
                values, ls=LINES[dataset], marker="x", lw=0.8, color=COLOURS["prior work"], label=LABELS["prior work"]
            )
    axes[0].set(title="reconstruction error on test images", ylabel=MSE_LABEL)
    axes[0].set_ylim(0)
    axes[1].axhline(100, color=COLOURS["pca"], lw=1, ls=":", label="PCA")
    axes[1].set(title="the same, as a share of PCA's", ylabel="share of PCA's error (%)")
    for ax in axes:
        legend_of_models(ax, results.dataset.unique())
    return figure


def one_for_all(results):
    """One nested code beside separate ones, by latent size: its error, and what the MLP reads from it more or less."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.8))
    share = share_of_pca(summarise(results, "test_mse"), ("conv", "nested"))
    accuracy = summarise(results, "accuracy_mlp")
    conv = accuracy[accuracy.autoencoder == "conv"].set_index(["dataset", "latent_dim"])["mean"].rename("conv")
    accuracy = accuracy[accuracy.autoencoder.isin(("pca", "nested"))].join(conv, on=["dataset", "latent_dim"])
    accuracy["mean"] -= accuracy.conv
    for dataset in results.dataset.unique():
        against_latent_size(axes[0], share, dataset, ("conv", "nested"))
        against_latent_size(axes[1], accuracy, dataset, ("pca", "nested"), scale=100)
    axes[0].axhline(100, color=COLOURS["pca"], lw=1, ls=":", label="PCA")
    axes[0].set(title="reconstruction error on test images", ylabel="share of PCA's error (%)")
    axes[1].axhline(0, color=COLOURS["conv"], lw=1, ls=":", label=LABELS["conv"])
    axes[1].set(
        title="the MLP on the code, beside the convolutional AE's", ylabel="difference in test accuracy (points)"
    )
    for ax in axes:
        legend_of_models(ax, results.dataset.unique(), loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)
    return figure


def share_of_pca(summary, names):
    """The means and deviations of `summary` in per cent of PCA's mean, for the autoencoders `names`."""
    pca = summary[summary.autoencoder == "pca"].set_index(["dataset", "latent_dim"])["mean"].rename("pca")
    share = summary[summary.autoencoder.isin(names)].join(pca, on=["dataset", "latent_dim"])
    share[["mean", "std"]] *= (100 / share.pca).to_numpy()[:, None]
    return share


def legend_of_models(ax, datasets, **where):
    """Each model once, in its colour; then, where there are several data sets, what their line styles mean."""
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    if len(datasets) > 1:
        handles |= {name: Line2D([], [], color="black", ls=LINES[name]) for name in datasets}
    ax.legend(handles.values(), handles.keys(), fontsize=8, **where)


def denoising(errors):
    """Error of the rebuilt image against the clean one, for test images with more and more noise.

    `errors` has a row for every `dataset`, `autoencoder`, `latent_dim` and `noise` with the error in `mse`.
    """
    datasets, sizes = errors.dataset.unique(), sorted(errors.latent_dim.unique())
    figure, axes = plt.subplots(
        len(datasets), len(sizes), figsize=(2.7 * len(sizes), 2.5 * len(datasets) + 0.8), squeeze=False, sharex=True
    )
    for line, dataset in zip(axes, datasets, strict=True):
        for ax, size in zip(line, sizes, strict=True):
            for name in errors.autoencoder.unique():
                rows = errors[(errors[["dataset", "autoencoder", "latent_dim"]] == [dataset, name, size]).all(axis=1)]
                style = {"color": COLOURS[name], "marker": MARKERS[name], "ls": LINES[dataset], "ms": 4}
                ax.plot(rows.noise, rows.mse, label=LABELS[name], **style)
            ax.set_title(f"{dataset}, d = {size}", fontsize=10)
            ax.set_ylim(0, 1.05 * errors[(errors.dataset == dataset) & (errors.latent_dim == size)].mse.max())
        line[0].set_ylabel("squared error\nagainst the clean image")
    for ax in axes[-1]:
        ax.set_xlabel("noise on the input (std)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle("Rebuilding clean images from noisy ones")
    return figure


def reconstructions(originals, rebuilt, dataset):
    """The same images at every latent size: originals on top, then a row for each (autoencoder, latent size)."""
    rows = {"original": originals / 255}
    for (name, size), images in rebuilt.items():
        error = np.square(images - originals / 255).mean()
        rows[f"{LABELS[name]}, d = {size}\nMSE {error:.4f}"] = images
    return image_grid(rows, f"{dataset}: test images, and what is left of them (MSE of these {len(originals)} images)")
