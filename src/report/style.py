"""The one visual language of all figures: one colour and marker per autoencoder, one line style per data set."""

from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from matplotlib.transforms import blended_transform_factory

from src.utils import REPORTS_DIR, atomic_path


class Look(NamedTuple):
    """How an autoencoder is called in tables and figures, and its colour and marker there."""

    label: str
    colour: str = "#777777"
    marker: str = "o"


LOOKS = {  # in the order of tables; a model of one's own is entered here, too, or goes by its name in grey
    "conv": Look("convolutional AE", "#1f77b4"),
    "vae": Look("variational AE", "#d95f02", "s"),
    "denoising": Look("denoising AE", "#d6277e", "D"),
    "pca": Look("PCA", "#444444", "^"),
    "pixels": Look("raw pixels", "#2a9d4a", "X"),
    "random_start": Look("conv. AE, random start", "#6baed6", "v"),
    "random": Look("random encoder", "#a0a0a0", "v"),
    "supervised": Look("supervised encoder", "#c0392b", "*"),
    "spatial": Look("8x4x4 code, frozen", "#8e5bb5", "P"),
    "spatial_finetuned": Look("8x4x4 code, fine-tuned", "#c08fd8", "P"),
    "features": Look("patch features", "#4a1486", "h"),
    "self_supervised": Look("self-supervised features", "#e6550d", "p"),
    "both": Look("combined features", "#a50f15", "H"),
    "both_50": Look("half AE, half features", "#de6d72", "H"),
    "features_50": Look("half patch features", "#9e8bc9", "h"),
    "scratch": Look("network from scratch", "#000000", "x"),
    "masked": Look("masked AE", "#17a2b8"),
    "nested": Look("nested AE", "#00857c", "P"),
}
OF_ONE_SIZE = ("pixels", "spatial", "spatial_finetuned")


PRIOR = {"color": "#b8860b", "label": "prior work, conv", "marker": "x", "lw": 0.9}
PROBE_LABELS = {"linear": "linear", "knn": "kNN", "mlp": "MLP", "cnn": "CNN"}
PROBE_COLOURS = {"linear": "#d9a400", "knn": "#7a5195", "mlp": "#00796b", "cnn": "#c2185b"}
PROBE_MARKERS = {"linear": "^", "knn": "v", "mlp": "o", "cnn": "s"}
LINES = {"CIFAR10": "-", "CIFAR100": "--"}
MSE_LABEL = "MSE, pixels in [0, 1]"
WRONG = "#c0392b"
LINE = 0.06  # of the height of axes, from one name at the end of a line to the next

RC = {
    "figure.constrained_layout.use": True,
    "figure.dpi": 90,
    "savefig.dpi": 150,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "errorbar.capsize": 2,
}


def apply_style():
    """Draw all figures from now on in the study's style."""
    plt.rcParams.update(RC)


def save_figure(figure, name, folder=""):
    """Save a figure as `reports/FOLDER/NAME.png`, whole or not at all."""
    with atomic_path(REPORTS_DIR / Path(folder).expanduser() / f"{name}.png") as path:
        figure.savefig(path)


def save_table(frame, name, folder=""):
    """Save a frame as `reports/FOLDER/NAME.csv`, whole or not at all."""
    with atomic_path(REPORTS_DIR / Path(folder).expanduser() / f"{name}.csv") as path:
        frame.to_csv(path, index=False)


def show_figure(figure, alt, name=None, folder=""):
    """Show a figure in a notebook with its alternative text, and save it where it has a name."""
    from IPython.display import display  # here, because only notebooks need it

    if name:
        save_figure(figure, name, folder)
    display(figure, metadata={"image/png": {"alt": alt}})
    plt.close(figure)  # or the notebook shows it once more


def label(name):
    """An autoencoder's name in tables and figures, no two of which are alike."""
    if name in LOOKS:
        return LOOKS[name].label
    return f"{name} (own)" if name in {look.label for look in LOOKS.values()} else name


def colour(name):
    """An autoencoder's colour."""
    return LOOKS.get(name, Look(name)).colour


def line_style(name, dataset):
    """The keywords of a line of an autoencoder on a data set; PCA has open markers, so that it stays visible."""
    look = LOOKS.get(name, Look(name))
    style = {
        "color": look.colour,
        "marker": look.marker,
        "ls": LINES.get(dataset, ":"),
        "label": label(name),
    }
    style["ms"], style["lw"] = {"conv": (7, 2.2), "vae": (4, 1.2), "supervised": (8, 1.2)}.get(name, (5.5, 1.2))
    return style | ({"mfc": "white", "zorder": 5, "ms": 8} if name == "pca" else {})


def summarise(results, column):
    """Mean and standard deviation over seeds of a column, a row for each data set, autoencoder and latent size."""
    groups = results.dropna(subset=[column]).groupby(["dataset", "autoencoder", "latent_dim"])[column]
    return groups.agg(["mean", "std"]).astype(float).fillna({"std": 0}).reset_index()


def with_best_probe(results):
    """The rows with `best_probe`, the one with the highest accuracy, mean over seeds, and its `accuracy_best`; and `bits_best`.

    `accuracy_best` is NaN in a row that does not have that probe. `bits_best` are the most that a network among the probes finds: each is a lower
    bound of what the code has.
    """
    results = results.reset_index(drop=True)
    best = _best_probe(results)
    of_best = [row.get(f"accuracy_{best[i]}", np.nan) for i, row in results.iterrows()]
    bits = results.reindex(columns=["bits_mlp", "bits_cnn"]).astype(float).max(axis=1)
    return results.assign(best_probe=best, accuracy_best=np.array(of_best, float), bits_best=bits)


def _best_probe(results):
    """Of each row, which probe has the highest accuracy, mean over seeds."""
    keys = [results[key] for key in ("dataset", "autoencoder", "latent_dim")]
    means = results[[f"accuracy_{probe}" for probe in PROBE_LABELS]].astype(float).groupby(keys).transform("mean")
    return means.dropna(how="all").idxmax(axis=1).str.removeprefix("accuracy_").reindex(results.index)


def share_of_pca(summary):
    """The means and deviations of `summary` in per cent of PCA's mean at the same size."""
    keys = ["dataset", "latent_dim"]
    pca = summary[summary.autoencoder == "pca"].set_index(keys)["mean"].rename("pca")
    share = summary.join(pca, on=keys).dropna(subset=["pca"])
    share[["mean", "std"]] *= (100 / share.pca).to_numpy()[:, None]
    return share.drop(columns="pca")


def latent_axis(ax, sizes):
    """A logarithmic axis with a tick at each of `sizes`."""
    ax.set_xscale("log")
    ax.set_xticks(sorted(sizes), [str(size) for size in sorted(sizes)])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.minorticks_off()
    ax.set_xlabel("latent dimension d")


def label_ends(ax, ends):
    """Name lines at their ends: `ends` are tuples of x, y, text and colour. Names at one x keep a distance from each other and stay below the top.

    To be called when all else is drawn, since names are placed within the axes as they are.
    """
    ax.get_xlim(), ax.get_ylim()  # which settles the axes
    to_axes = ax.transData + ax.transAxes.inverted()
    how = {
        "xycoords": blended_transform_factory(ax.transData, ax.transAxes),
        "textcoords": "offset points",
        "xytext": (8, 0),
        "va": "center",
        "fontsize": 8.5,
        "annotation_clip": False,
    }
    for place in sorted({x for x, *_ in ends}):
        names = sorted((to_axes.transform((x, y))[1], text, look) for x, y, text, look in ends if x == place)
        heights = [height for height, _, _ in names]
        for _ in range(100):  # names that overlap part a little, up and down, until none do
            for i in range(1, len(heights)):
                overlap = max(0, heights[i - 1] + LINE - heights[i])
                heights[i - 1] -= overlap / 2
                heights[i] += overlap / 2
        heights[-1] = min(heights[-1], 1)
        for i in reversed(range(len(heights) - 1)):
            heights[i] = min(heights[i], heights[i + 1] - LINE)
        for height, (_, text, look) in zip(heights, names, strict=True):
            ax.annotate(text, (place, height), color=look, **how)


def accuracy_error(accuracy, count):
    """The standard error of an accuracy in [0, 1] on `count` images."""
    return np.sqrt(accuracy * (1 - accuracy) / count)


def legend_of_models(ax, datasets, **where):
    """Each model once, in its colour; then, where there are several data sets, what their line styles mean."""
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    if len(datasets) > 1:
        handles.update({name: Line2D([], [], color="black", ls=LINES.get(name, ":")) for name in datasets})
    ax.legend(handles.values(), handles.keys(), fontsize=8, **where)


def show_image(ax, image, title=None, size=8):
    """One image, uint8 or float in [0, 1], without axes."""
    ax.imshow(np.asarray(image), interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    for side in ax.spines.values():
        side.set_visible(False)
    if title:
        ax.set_title(title, fontsize=size, pad=2)


def image_grid(rows, title, marked=(), columns=()):
    """Images in rows: `rows` maps a label to images (n, 32, 32, 3), uint8 or in [0, 1].

    Images at `marked`, pairs of row and column, are framed in red; `columns` are titles of the columns.
    """
    width = max(len(images) for images in rows.values())
    size = (0.72 * width + 1.9, 0.76 * len(rows) + 0.6)
    figure, axes = plt.subplots(len(rows), width, figsize=size, squeeze=False)
    for row, ((name, images), line) in enumerate(zip(rows.items(), axes, strict=True)):
        for column, ax in enumerate(line):
            if column >= len(images):
                ax.axis("off")
                continue
            show_image(ax, images[column])
            if (row, column) in marked:
                for side in ax.spines.values():
                    side.set(visible=True, color=WRONG, linewidth=2)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    for ax, text in zip(axes[0], columns, strict=False):
        ax.set_title(text, fontsize=8)
    figure.suptitle(title)
    return figure
