"""Tables and figures of the data sets, before anything is trained on them."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from src.report.style import WRONG, show_image

CHANNELS = {"red": "#c0392b", "green": "#2a9d4a", "blue": "#1f77b4"}
# Mean and standard deviation of the training pixels scaled to [0, 1], red, green and blue, as they are usually quoted
PUBLISHED_STATISTICS = {
    "CIFAR10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "CIFAR100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


def overview(datasets):
    """Shape, type, range and balance of every split, a row each."""
    rows = []
    for dataset in datasets:
        for part in ("train", "validation", "test"):
            images, labels = dataset.split(part)
            counts = np.bincount(labels, minlength=len(dataset.classes))
            row = {"data set": dataset.name, "split": part, "images": str(images.shape), "type": str(images.dtype)}
            row |= {"range": f"{images.min()} to {images.max()}", "labels": f"{labels.min()} to {labels.max()}"}
            rows.append(row | {"images of a class": f"{counts.min()} to {counts.max()}"})
    return pd.DataFrame(rows)


def channel_statistics(datasets):
    """Mean and standard deviation of each channel of the training images in [0, 1], beside the published values."""
    rows = []
    for dataset in datasets:
        pixels = dataset.x_train.reshape(-1, 3)
        mean = pixels.mean(0, dtype=np.float64) / 255
        std = np.sqrt([np.square(pixels[:, c], dtype=np.float64).mean() / 255**2 - mean[c] ** 2 for c in range(3)])
        means, stds = PUBLISHED_STATISTICS.get(dataset.name, (np.nan, np.nan))
        columns = {"mean": mean, "published mean": means, "std": std, "published std": stds}
        rows.append(pd.DataFrame({"data set": dataset.name, "channel": CHANNELS.keys()} | columns))
    return pd.concat(rows, ignore_index=True).round(4)


def find_duplicates(dataset):
    """Identical images within and across training and test split.

    Returns a list of groups of two or more; a group is a list of (part, index, label), part "train" or "test".
    """
    images = np.concatenate([dataset.x_train, dataset.x_test])
    labels = np.concatenate([dataset.y_train, dataset.y_test])
    _, inverse, counts = np.unique(images.reshape(len(images), -1), axis=0, return_inverse=True, return_counts=True)
    size = len(dataset.x_train)
    places = [("train", i) if i < size else ("test", i - size) for i in range(len(images))]
    groups = (np.flatnonzero(inverse == value) for value in np.flatnonzero(counts > 1))
    return [[(*places[i], int(labels[i])) for i in group] for group in groups]


def count_duplicates(duplicates):
    """How many groups of identical images there are, a row a data set; `duplicates` maps its name to `find_duplicates`."""
    counts = {"groups of identical images": [len(groups) for groups in duplicates.values()]}
    for column, place in (("across training and test split", 0), ("under more than one label", 2)):
        counts[column] = [sum(len({image[place] for image in g}) > 1 for g in groups) for groups in duplicates.values()]
    return pd.DataFrame(counts, index=pd.Index(duplicates, name="data set"))


def class_grid(dataset):
    """Training images: a row a class where there are few classes, else one image a class, grouped by superclass."""
    images, labels = dataset.split("train")
    if dataset.superclasses:
        return _superclass_grid(dataset, images, labels)
    figure, axes = plt.subplots(len(dataset.classes), 10, figsize=(8, 0.8 * len(dataset.classes)), squeeze=False)
    for label, row in enumerate(axes):
        for ax, index in zip(row, np.flatnonzero(labels == label), strict=False):
            show_image(ax, images[index])
        row[0].set_ylabel(dataset.classes[label], rotation=0, ha="right", va="center")
    figure.suptitle(f"{dataset.name}: the first ten training images of each class")
    return figure


def _superclass_grid(dataset, images, labels):
    figure = plt.figure(figsize=(10, 14))
    panels = figure.subfigures(len(dataset.superclasses) // 2, 2).flat
    for superclass, panel in enumerate(panels):
        members = np.flatnonzero(np.array(dataset.superclass_of) == superclass)
        panel.suptitle(dataset.superclasses[superclass], fontsize=9.5, fontweight="bold")
        for ax, label in zip(panel.subplots(1, len(members)), members, strict=True):
            index = np.flatnonzero(labels == label)[0]
            show_image(ax, images[index], dataset.classes[label].replace("_", " "), size=7.5)
    figure.suptitle(f"{dataset.name}: a training image of each class, by superclass")
    return figure


def channel_histograms(datasets):
    """How often each value occurs in each channel of the training images."""
    figure, axes = plt.subplots(1, len(datasets), figsize=(5 * len(datasets), 3.2), squeeze=False, sharey=True)
    for ax, dataset in zip(axes.flat, datasets, strict=True):
        images, _ = dataset.split("train")
        for channel, (name, colour) in enumerate(CHANNELS.items()):
            share = np.bincount(images[..., channel].ravel(), minlength=256) / images[..., channel].size
            ax.plot(100 * share, color=colour, label=name, lw=1.2)
        ax.set(title=f"{dataset.name}: pixel values", xlabel="value (0 to 255)", ylabel="share of pixels (%)")
        ax.set_ylim(0, 1.2)
        ax.legend()
    return figure


def mean_images(dataset):
    """The mean training image of each class, or of each superclass where there are such."""
    images, labels = dataset.split("train")
    groups, names = dataset.by_superclass(labels)
    rows = -(-len(names) // 5)
    figure, axes = plt.subplots(rows, 5, figsize=(9, 1.9 * rows), squeeze=False)
    for ax in axes.flat[len(names) :]:
        ax.axis("off")
    for group, (ax, name) in enumerate(zip(axes.flat, names, strict=False)):
        title = name.replace("large man-made", "man-made").replace("large natural", "natural")
        show_image(ax, images[groups == group].mean(0) / 255, title)
    kind = "superclass" if dataset.superclasses else "class"
    figure.suptitle(f"{dataset.name}: mean training image of each {kind}")
    return figure


def duplicate_images(dataset, groups):
    """The images that occur more than once, each shown once, with where it occurs and under which class.

    `groups` as `find_duplicates` gives them.
    """
    rows = -(-len(groups) // 7)
    figure, axes = plt.subplots(rows, 7, figsize=(10.15, 1.7 * rows), squeeze=False)
    for ax in axes.flat[len(groups) :]:
        ax.axis("off")
    for ax, group in zip(axes.flat, groups, strict=False):
        part, index, _ = group[0]
        lines = [f"{part}: {dataset.classes[label].replace('_', ' ')}" for part, _, label in group]
        show_image(ax, (dataset.x_train if part == "train" else dataset.x_test)[index], "\n".join(lines), size=7)
        if len({label for *_, label in group}) > 1:
            ax.title.set_color(WRONG)
    figure.suptitle(f"{dataset.name}: images that occur more than once (in red: under two labels)")
    return figure
