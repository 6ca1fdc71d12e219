"""Figures of the class that probes read from a code; each takes rows and returns a matplotlib Figure.

`title` is what the figure is to say; error bars are twice a standard error.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

from src.data_loader import class_names
from src.report.style import (
    OF_ONE_SIZE,
    PRIOR,
    PROBE_COLOURS,
    PROBE_LABELS,
    PROBE_MARKERS,
    accuracy_error,
    colour,
    label,
    label_ends,
    latent_axis,
    line_style,
    summarise,
    with_best_probe,
)
from src.study.answers import paired_differences

MSE = "test MSE (10$^{-3}$, log scale)"


def class_and_image(results, names, dataset, title="What a code of d numbers keeps"):
    """Bits of the class by the better network, and the error of the image, against latent size: a line for each of `names`.

    An encoder that was trained with labels, where there is one, is a level.
    """
    results = with_best_probe(results[results.dataset == dataset])
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 4.0))
    for ax, (column, scale) in zip(axes, {"bits_best": 1, "test_mse": 1000}.items(), strict=True):
        means, ends = summarise(results, column).set_index("autoencoder"), []
        for name in names:
            rows = means[means.index == name]
            if len(rows):
                ax.plot(rows.latent_dim, scale * rows["mean"], **line_style(name, dataset))
                ends.append((rows.latent_dim.iloc[-1], scale * rows["mean"].iloc[-1], label(name), colour(name)))
        latent_axis(ax, results[results.autoencoder.isin(names)].latent_dim.unique())
        ax.margins(x=0.1)
        if column == "bits_best":
            with_labels = results[results.autoencoder == "supervised"].dropna(subset=["bits_best"])
            for row in with_labels.nlargest(1, "bits_best").itertuples():
                _draw_level(ax, row.bits_best, f"encoder trained with labels, d = {row.latent_dim}")
            ax.set(
                title="the class, by the better network (more is better)", ylabel="bits of the class", ylim=(0, None)
            )
        else:
            ax.set(title="the image (less is better)", ylabel=MSE, yscale="log")
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter("{x:g}")
        label_ends(ax, ends)
    figure.suptitle(f"{title} ({dataset})")
    return figure


def _draw_level(ax, level, text):
    """A level that an encoder reaches which was trained with labels."""
    look = {"color": colour("supervised")}
    ax.axhline(level, ls=":", **look)
    ax.text(0.02, level, text, transform=ax.get_yaxis_transform(), va="bottom", fontsize=8.5, **look)


def _panels(datasets, height):
    """A wide panel for the first data set, and a narrow one for each other."""
    widths = [1.5] + [1] * (len(datasets) - 1)
    figure, axes = plt.subplots(
        1, len(datasets), figsize=(3.7 * sum(widths), height), width_ratios=widths, squeeze=False
    )
    return figure, axes[0]


def error_against_accuracy(results, names, title="Accuracy against reconstruction error", note=""):
    """What the MLP probe reads of the class against what is lost of the image, a point for each latent size; a panel for each data set.

    `note` is written at the second last point of the last name.
    """
    figure, axes = _panels(results.dataset.unique(), 4.2)
    for ax, dataset in zip(axes, results.dataset.unique(), strict=True):
        for name in names:
            rows = results[(results.dataset == dataset) & (results.autoencoder == name)]
            points = (
                rows.groupby("latent_dim")[["test_mse", "accuracy_mlp", "test_images"]].mean().astype(float).dropna()
            )
            if points.empty:
                continue
            error = 200 * accuracy_error(points.accuracy_mlp, points.test_images)
            x, y = 1000 * points.test_mse, 100 * points.accuracy_mlp
            ax.errorbar(x, y, error, **line_style(name, dataset))
            if name == names[-1]:
                for size in points.index:
                    place = {"textcoords": "offset points", "ha": "right", "fontsize": 8}
                    ax.annotate(f"d = {size}", (x[size], y[size]), (-6, 5), **place)
                if note and ax is axes[0] and len(points) > 1:
                    arrow = {"arrowstyle": "->", "color": "#555555"}
                    place = {"textcoords": "axes fraction", "ha": "left", "arrowprops": arrow}
                    ax.annotate(note, (x.iloc[-2], y.iloc[-2]), (0.3, 0.88), **place)
        ax.set(xscale="log", xlabel=MSE, title=dataset)
        ax.invert_xaxis()
        ax.margins(x=0.2, y=0.12)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 6, 8), numticks=99))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.minorticks_off()
    axes[0].legend(fontsize=8, loc="lower right")
    axes[0].set_ylabel("test accuracy of the MLP probe (%)")
    figure.suptitle(title)
    return figure


def front(results, shares, others, published, title="Image or class"):
    """Accuracy of the best probe against test error, a line for each latent size as more of its numbers go to features.

    `shares` are the autoencoders along a line, from pixels alone to features alone; `others` are drawn as single points, or as
    a level where they have no decoder. `published` maps a name to rows with `dataset`, `test_mse` and `accuracy_mlp`.
    """
    results = with_best_probe(results)
    figure, axes = _panels(results.dataset.unique(), 4.6)
    keys = ["dataset", "latent_dim", "autoencoder"]
    means = results.groupby(keys)[["test_mse", "accuracy_best"]].mean().astype(float) * (1000, 100)
    for ax, dataset in zip(axes, results.dataset.unique(), strict=True):
        sizes = sorted(results[(results.dataset == dataset) & results.autoencoder.isin(shares)].latent_dim.unique())
        for size in sizes:
            line = means.reindex([(dataset, size, name) for name in shares]).dropna()
            ax.plot(line.test_mse, line.accuracy_best, color=colour(shares[-1]), lw=1.2, zorder=1)
            for end in line.to_numpy()[-1:]:  # none where no probe was run
                ax.annotate(f"d = {size}", end, (6, 4), textcoords="offset points", fontsize=8)
        for name in [*shares, *others]:
            points = means[means.index.isin([(dataset, size, name) for size in sizes])].dropna(subset="accuracy_best")
            if points.test_mse.notna().any():
                ax.plot(points.test_mse, points.accuracy_best, **line_style(name, dataset) | {"ls": "", "ms": 6})
                if ax is axes[0]:
                    place = {"textcoords": "offset points", "ha": "center", "fontsize": 8, "color": colour(name)}
                    offset = (0, 14) if name in shares[1:] else (-18, -14) if name in shares else (18, -3)
                    ax.annotate(label(name), points.to_numpy()[-1], offset, **place)
            elif len(points):
                _draw_level(ax, top := points.accuracy_best.max(), f"{label(name)} ({top:.0f} %)")
        for marker, (name, rows) in zip("x+", published.items(), strict=False):
            rows = rows[rows.dataset == dataset].dropna()
            ax.plot(1000 * rows.test_mse, 100 * rows.accuracy_mlp, marker, color=PRIOR["color"])
            for end in rows[["test_mse", "accuracy_mlp"]].to_numpy()[-1:] * (1000, 100):
                place = {"textcoords": "offset points", "ha": "center", "fontsize": 8, "color": PRIOR["color"]}
                ax.annotate(name, end, (0, -14), **place)
        ax.set(xscale="log", xlabel=MSE, title=dataset)
        ax.set_xticks(ticks := [1, 2, 5, 10, 20, 40], map(str, ticks))
        ax.minorticks_off()
        ax.margins(x=0.14, y=0.12)
    axes[0].set_ylabel("test accuracy of the best probe (%)")
    figure.suptitle(title)
    return figure


def accuracy(results, prior, size, title="The best probe on every code"):
    """Test accuracy of the best probe on every code of `size` numbers and on those of one size of their own: a bar each.

    `prior` are the prior work's results, with its own classifier. The probe stands in the bar.
    """
    results = with_best_probe(results[(results.latent_dim == size) | results.autoencoder.isin(OF_ONE_SIZE)])
    results = results.dropna(subset=["accuracy_best"])
    figure, axes = _panels(results.dataset.unique(), 1.3 + 0.24 * results.autoencoder.nunique())
    for ax, dataset in zip(axes, results.dataset.unique(), strict=True):
        rows = results[results.dataset == dataset].groupby("autoencoder", sort=False)
        means = rows[["accuracy_best", "test_images"]].mean().astype(float).sort_values("accuracy_best")
        bars = 100 * means.accuracy_best
        error = 200 * accuracy_error(means.accuracy_best, means.test_images)
        ax.barh(range(len(bars)), bars, xerr=error, color=list(map(colour, bars.index)), alpha=0.75)
        for place, (name, value) in enumerate(bars.items()):
            ax.text(1, place, f"{PROBE_LABELS[rows.best_probe.first()[name]]} {value:.1f}", va="center", fontsize=8)
        ax.set_yticks(range(len(bars)), map(label, bars.index), fontsize=8)
        theirs = prior[(prior.dataset == dataset) & (prior.latent_dim == size)].accuracy.dropna()
        for level, text in [*((100 * value, "prior work") for value in theirs), *_chance(dataset)]:
            ax.axvline(level, color="#777777", ls=":")
            ax.text(level, len(bars) - 0.4, text, ha="center", va="bottom", fontsize=8, color="#555555")
        ax.set(title=f"{dataset}\n", xlabel="test accuracy (%)")
        ax.grid(axis="y", visible=False)
    figure.suptitle(f"{title} (d = {size})")
    return figure


def _chance(dataset):
    """The accuracy of guessing, in per cent, with its name; nothing for a data set that is not kept, whose classes are not known."""
    try:
        return [(100 / len(class_names(dataset)), "chance")]
    except ValueError:
        return []


def probes(results, names, answers, dataset, title="Every probe on every code"):
    """Left, test accuracy of every probe on the codes of `names` at their largest common size; right, the first name's less the last's, by size.

    `answers` are those of the study, of which the paired errors are.
    """
    results = results[results.dataset == dataset]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 4.0))
    sizes = sorted(results[results.autoencoder == names[0]].latent_dim.unique())
    ends = []
    for name in names:
        rows = results[(results.autoencoder == name) & (results.latent_dim == sizes[-1])]
        found = 100 * rows[[f"accuracy_{probe}" for probe in PROBE_LABELS]].mean().astype(float).dropna()
        places = [list(PROBE_LABELS).index(column.removeprefix("accuracy_")) for column in found.index]
        left.plot(places, found, **line_style(name, dataset))
        ends += [(places[-1], found.iloc[-1], label(name), colour(name))] if places else []
    left.set_xticks(range(len(PROBE_LABELS)), PROBE_LABELS.values())
    left.set(title=f"d = {sizes[-1]}", ylabel="test accuracy (%)", xlabel="probe")
    left.margins(x=0.1)
    label_ends(left, ends)
    ends = []
    for probe in PROBE_LABELS:
        found = paired_differences(answers, dataset, sizes, names[0], names[-1], probe)
        if len(found):
            style = {"marker": PROBE_MARKERS[probe], "color": PROBE_COLOURS[probe]}
            right.errorbar(found.index, found.points, 2 * found.error, **style)
            ends.append((found.index[-1], found.points.iloc[-1], PROBE_LABELS[probe], PROBE_COLOURS[probe]))
    right.axhline(0, color="#999999", lw=1)
    latent_axis(right, sizes)
    right.margins(x=0.15)
    label_ends(right, ends)
    right.set(title=f"{label(names[0])} less {label(names[-1])}", ylabel="difference (points)")
    figure.suptitle(f"{title} ({dataset})")
    return figure


def confusion_matrices(confusions, title):
    """Confusion matrices in per cent of each true class, one panel per data set.

    `confusions` maps a data set to true labels, predicted labels and the names of the classes.
    """
    columns = max(1, len(confusions))
    figure, axes = plt.subplots(1, columns, figsize=(4.8 * columns, 4.6), squeeze=False)
    if not confusions:
        axes[0, 0].axis("off")
        axes[0, 0].set_title("nothing to show: the MLP probe was not run")
    for ax, (dataset, (truth, predicted, names)) in zip(axes[0], confusions.items(), strict=False):
        matrix = confusion_matrix(truth, predicted, labels=np.arange(len(names)), normalize="true")
        look = {"cmap": "Blues", "colorbar": False, "im_kw": {"vmin": 0, "vmax": 1}, "xticks_rotation": "vertical"}
        values = {"include_values": len(names) <= 10, "values_format": ".0%", "text_kw": {"fontsize": 7}}
        ConfusionMatrixDisplay(matrix, display_labels=names).plot(ax=ax, **look, **values)
        ax.tick_params(labelsize=8 if len(names) <= 10 else 6)
        ax.grid(False)
        ax.set(title=dataset, xlabel="predicted class", ylabel="true class")
    figure.suptitle(title)
    return figure


def few_labels(rows, title="Few labelled images"):
    """Accuracy against labelled images of each class, over draws, of rows of `src.study.few_labels`."""
    figure, axes = _panels(rows.dataset.unique(), 4.0)
    for ax, dataset in zip(axes, rows.dataset.unique(), strict=True):
        ends = []
        for code, part in rows[rows.dataset == dataset].groupby("code", sort=False):
            groups = 100 * part.groupby("per_class").accuracy.agg(["mean", "sem"])
            ax.errorbar(groups.index, groups["mean"], 2 * groups["sem"], **line_style(code, dataset))
            ends.append((groups.index[-1], groups["mean"].iloc[-1], label(code), colour(code)))
        counts = sorted(rows[rows.dataset == dataset].per_class.unique())
        ax.set(xscale="log", xlabel="labelled images of each class", title=dataset)
        ax.set_xticks(counts, map(str, counts))
        ax.minorticks_off()
        ax.margins(x=0.12)
        label_ends(ax, ends)
    axes[0].set_ylabel("test accuracy (%)")
    figure.suptitle(title)
    return figure
