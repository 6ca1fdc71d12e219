"""Figures of the class that probes read from a code; each takes rows and returns a matplotlib Figure."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

from src.data_loader import class_names
from src.report.style import (
    LINES,
    PRIOR,
    PROBE_COLOURS,
    PROBE_LABELS,
    PROBE_MARKERS,
    against_latent_size,
    colour,
    label,
    latent_axis,
    legend_of_models,
    line_style,
    summarise,
)
from src.study.answers import paired_difference


def error_against_accuracy(results, names):
    """What probes read of the class against what is lost of the image, a point a latent size, a panel a data set."""
    datasets = results.dataset.unique()
    figure, axes = plt.subplots(1, len(datasets), figsize=(4.6 * len(datasets), 4.2), squeeze=False)
    for ax, dataset in zip(axes[0], datasets, strict=True):
        for name in names:
            rows = results[(results.dataset == dataset) & (results.autoencoder == name)].groupby("latent_dim")
            mean, spread = (rows[["test_mse", "accuracy_mlp"]].agg(how).astype(float) for how in ("mean", "std"))
            points = 1000 * mean.test_mse, 100 * mean.accuracy_mlp, 100 * spread.accuracy_mlp.fillna(0)
            ax.errorbar(*points, **line_style(name, dataset))
            if name == names[-1]:
                for size, x, y in zip(mean.index, *points[:2], strict=True):
                    white = {"fc": "white", "ec": "none", "pad": 0}
                    place = {"textcoords": "offset points", "ha": "right", "fontsize": 8, "bbox": white}
                    ax.annotate(f"d = {size}", (x, y), (-7, -12), **place)
        ax.set(xscale="log", xlabel="test MSE, pixels in [0, 1] (10$^{-3}$, log scale)", title=dataset)
        ax.margins(x=0.12, y=0.12)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), numticks=99))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.minorticks_off()
        ax.legend(fontsize=8)
    axes[0, 0].set_ylabel("test accuracy of the MLP probe (%)")
    figure.suptitle("Accuracy of the MLP probe\nagainst reconstruction error, by latent dimension d")
    return figure


def front(results, shares, others, published):
    """Accuracy of the MLP probe against test error, a line a latent size as more of its numbers go to features.

    `shares` are the autoencoders along a line, from pixels alone to features alone; `others` are drawn as single points, or as
    a level where they have no decoder. `published` maps a name to rows with `dataset`, `test_mse` and `accuracy_mlp`.
    """
    datasets = results.dataset.unique()
    figure, axes = plt.subplots(1, len(datasets), figsize=(4.6 * len(datasets), 4.8), squeeze=False)
    means = results.groupby(["dataset", "latent_dim", "autoencoder"])[["test_mse", "accuracy_mlp"]].mean() * (1000, 100)
    for ax, dataset in zip(axes[0], datasets, strict=True):
        sizes = results[results.autoencoder.isin(shares)].latent_dim.unique()
        for size in sorted(sizes):
            line = means.reindex([(dataset, size, name) for name in shares]).dropna()
            ax.plot(line.test_mse, line.accuracy_mlp, color=colour(shares[-1]), lw=1.2, zorder=1)
            for end in line.to_numpy()[-1:]:  # none where the MLP probe was not run
                ax.annotate(f"d = {size}", end, (6, 4), textcoords="offset points", fontsize=8)
        for name in [*shares, *others]:
            points = means[means.index.isin([(dataset, size, name) for size in sizes])]
            if points.test_mse.notna().any():
                style = line_style(name, dataset) | {"ls": "", "ms": 6}
                ax.errorbar(points.test_mse, points.accuracy_mlp, **style)
            elif len(points):
                top = points.accuracy_mlp.max()
                ax.axhline(top, color=colour(name), ls=":", label=f"{label(name)} ({top:.0f} %)")
        for marker, (name, rows) in zip("x+", published.items(), strict=False):
            rows = rows[rows.dataset == dataset].dropna()
            style = PRIOR | {"marker": marker, "ls": "", "label": name if len(rows) else None}
            ax.plot(1000 * rows.test_mse, 100 * rows.accuracy_mlp, **style)
        ax.set(xscale="log", xlabel="test MSE, pixels in [0, 1] (10$^{-3}$, log scale)", title=dataset)
        ax.set_xticks(ticks := [1, 2, 5, 10, 20, 40], map(str, ticks))
        ax.minorticks_off()
        ax.margins(x=0.14)
        ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
    axes[0, 0].set_ylabel("test accuracy of the MLP probe (%)")
    figure.suptitle("Image or class: codes of d numbers,\nfrom pixels alone to features alone (better: up and left)")
    return figure


def accuracy(results, prior, names):
    """Test accuracy of the MLP probe against latent size, a panel a data set.

    `names` are the autoencoders with a line; codes of one size are level lines. `prior` are the prior work's results.
    """
    datasets = results.dataset.unique()
    figure, axes = plt.subplots(1, len(datasets), figsize=(4.6 * len(datasets), 5.0), squeeze=False)
    summary = summarise(results, "accuracy_mlp")
    for ax, dataset in zip(axes[0], datasets, strict=True):
        against_latent_size(ax, summary, dataset, names, scale=100)
        for name in ("pixels", "spatial", "spatial_finetuned"):
            rows = summary[(summary.dataset == dataset) & (summary.autoencoder == name)]
            for level in 100 * rows["mean"]:
                ax.axhline(level, color=colour(name), ls=":", label=f"{label(name)} ({level:.1f} %)")
        theirs = prior[(prior.dataset == dataset) & prior.accuracy.notna()]
        if len(theirs):
            ax.plot(theirs.latent_dim, 100 * theirs.accuracy, ls="", **PRIOR | {"label": "prior work, own classifier"})
        if chance := _chance(dataset):
            ax.axhline(chance, color="#999999", ls=":", label=f"chance ({chance:.0f} %)")
        ax.set(title=dataset, ylim=(0, None))
        legend_of_models(ax, [dataset], loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    axes[0, 0].set_ylabel("test accuracy (%)")
    figure.suptitle("The MLP probe on every code")
    return figure


def _chance(dataset):
    """The accuracy of guessing, in per cent; None for a data set that is not kept, whose classes are not known."""
    try:
        return 100 / len(class_names(dataset))
    except ValueError:
        return None


def probes(results, autoencoder, answers):
    """Test accuracy of every probe against latent size: on an autoencoder's codes, and below less that on PCA's.

    `answers` are those of the study; error bars of the difference are twice its standard error.
    """
    datasets = results.dataset.unique()
    size = (4.4 * len(datasets) + 0.6, 5.6)
    figure, axes = plt.subplots(2, len(datasets), figsize=size, height_ratios=(2, 1), squeeze=False, sharex="col")
    for (top, bottom), dataset in zip(axes.T, datasets, strict=True):
        ends = {}
        for probe in PROBE_LABELS:
            summary = summarise(results[results.dataset == dataset], f"accuracy_{probe}").set_index("latent_dim")
            ours = 100 * summary[summary.autoencoder == autoencoder][["mean", "std"]]
            if len(ours):
                style = {"marker": PROBE_MARKERS[probe], "color": PROBE_COLOURS[probe]}
                style.update(ls=LINES.get(dataset, ":"), lw=1.4)
                top.errorbar(ours.index, ours["mean"], ours["std"], capsize=2, **style)
                found = _differences(answers, dataset, ours.index, autoencoder, probe)
                bottom.errorbar(found.index, found.points, 2 * found.error, capsize=2, **style)
                ends[probe] = (ours.index[-1], ours["mean"].iloc[-1])
        top.set(title=dataset, ylim=(0, None))
        _label_ends(top, ends)
        bottom.axhline(0, color="#999999", lw=1)
        latent_axis(bottom, results[results.autoencoder == autoencoder].latent_dim.unique())
        top.margins(x=0.25)
    differences = [abs(y) for ax in axes[1] for line in ax.lines for y in line.get_ydata() if np.isfinite(y)]
    for ax in axes[1]:
        ax.set_ylim(-1.2 * max([1, *differences]), 1.2 * max([1, *differences]))
    axes[0, 0].set_ylabel("test accuracy (%)")
    axes[1, 0].set_ylabel("difference to\nPCA's code (points)")
    title = f"Every probe on the code of the {label(autoencoder)}, and beside PCA's"
    figure.suptitle(f"{title} (bars: two standard errors)")
    return figure


def _differences(answers, dataset, sizes, autoencoder, probe):
    """The difference to PCA's code in `points` and its standard `error`, by latent size, where both were run."""
    found = {}
    for size in sizes:
        try:
            found[size] = paired_difference(answers, dataset, size, autoencoder, "pca", probe)
        except ValueError:
            continue
    return pd.DataFrame.from_dict(found, orient="index", columns=["points", "error"])


def _label_ends(ax, ends):
    """Name each line at its end; `ends` maps a probe to x and y. Names keep a distance from each other."""
    gap, last = 0.055 * ax.get_ylim()[1], -np.inf
    for probe, (x, y) in sorted(ends.items(), key=lambda item: item[1][1]):
        last = max(y, last + gap)
        text = {"xytext": (8, 0), "textcoords": "offset points", "va": "center", "fontsize": 8.5}
        ax.annotate(PROBE_LABELS[probe], (x, last), color=PROBE_COLOURS[probe], **text)


def confusion_matrices(confusions, title):
    """Confusion matrices in per cent of each true class, a panel a data set.

    `confusions` maps a data set to true labels, predicted labels and the names of the classes.
    """
    columns = max(1, len(confusions))
    figure, axes = plt.subplots(1, columns, figsize=(4.8 * columns, 4.6), squeeze=False)
    if not confusions:
        axes[0, 0].axis("off")
        axes[0, 0].set_title("nothing to show: the MLP probe was not run")
    for ax, (dataset, (truth, predicted, names)) in zip(axes[0], confusions.items(), strict=False):
        matrix = confusion_matrix(truth, predicted, labels=np.arange(len(names)), normalize="true")
        numbers = {"include_values": len(names) <= 10, "values_format": ".0%", "text_kw": {"fontsize": 7}}
        look = {"cmap": "Blues", "colorbar": False, "im_kw": {"vmin": 0, "vmax": 1}, "xticks_rotation": "vertical"}
        ConfusionMatrixDisplay(matrix, display_labels=names).plot(ax=ax, **look, **numbers)
        ax.tick_params(labelsize=8 if len(names) <= 10 else 6)
        ax.grid(False)
        ax.set(title=dataset, xlabel="predicted class", ylabel="true class")
    figure.suptitle(title)
    return figure


def few_labels(rows):
    """Accuracy against labelled images a class, over draws, of rows of `src.study.few_labels`; "cnn" is from scratch."""
    datasets = rows.dataset.unique()
    figure, axes = plt.subplots(1, len(datasets), figsize=(4.6 * len(datasets), 4.0), squeeze=False)
    for ax, dataset in zip(axes[0], datasets, strict=True):
        for code, part in rows[rows.dataset == dataset].groupby("code", sort=False):
            chosen = 100 * part.groupby("per_class").accuracy.agg(["mean", "std"])
            scratch = {"color": "black", "marker": "x", "label": "CNN from scratch"} if code == "cnn" else {}
            ax.errorbar(chosen.index, chosen["mean"], chosen["std"], **line_style(code, dataset) | scratch)
        counts = sorted(rows[rows.dataset == dataset].per_class.unique())
        ax.set(xscale="log", xlabel="labelled images of each class", title=dataset)
        ax.set_xticks(counts, map(str, counts))
        ax.minorticks_off()
    axes[0, 0].set_ylabel("test accuracy (%)")
    axes[0, 0].legend(fontsize=8)
    figure.suptitle("A linear probe on codes, and a network\nfrom scratch, on few labelled images")
    return figure
