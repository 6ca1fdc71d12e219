"""Figures of the data sets: each function takes a data set or several and returns a matplotlib Figure."""

import matplotlib.pyplot as plt
import numpy as np

from src.style import show_image


def class_grid(dataset, per_class=10):
    """Training images: a row a class where there are few classes, else one image a class, grouped by superclass."""
    images, labels = dataset.split("train")
    if dataset.superclasses:
        return _superclass_grid(dataset, images, labels)
    figure, axes = plt.subplots(len(dataset.classes), per_class, figsize=(per_class * 0.8, len(dataset.classes) * 0.8))
    for label, row in enumerate(axes):
        for ax, index in zip(row, np.flatnonzero(labels == label), strict=False):
            show_image(ax, images[index])
        row[0].set_ylabel(dataset.classes[label], rotation=0, ha="right", va="center")
    figure.suptitle(f"{dataset.name}: the first {per_class} training images of each class")
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


def class_balance(datasets):
    """How many images each class has in each split, a panel a data set."""
    figure, axes = plt.subplots(1, len(datasets), figsize=(5 * len(datasets), 3.2), squeeze=False)
    for ax, dataset in zip(axes.flat, datasets, strict=True):
        bottom = np.zeros(len(dataset.classes))
        for part, colour in (("train", "#4c78a8"), ("validation", "#f2b134"), ("test", "#9aa5b1")):
            counts = np.bincount(dataset.split(part)[1], minlength=len(bottom))
            ax.bar(np.arange(len(bottom)), counts, bottom=bottom, label=part, color=colour, width=0.9)
            bottom += counts
        ax.set(title=f"{dataset.name}: images of each class", xlabel="class, by label", ylabel="images")
        ax.set_ylim(0, bottom.max() * 1.25)
        ax.legend(ncols=3, loc="upper center")
    return figure


def channel_histograms(datasets):
    """How often each value occurs in each channel of the training images."""
    figure, axes = plt.subplots(1, len(datasets), figsize=(5 * len(datasets), 3.2), squeeze=False, sharey=True)
    for ax, dataset in zip(axes.flat, datasets, strict=True):
        images, _ = dataset.split("train")
        for channel, colour in enumerate(("#c0392b", "#2a9d4a", "#1f77b4")):
            share = np.bincount(images[..., channel].ravel(), minlength=256) / images[..., channel].size
            ax.plot(100 * share, color=colour, label=("red", "green", "blue")[channel], lw=1.2)
        ax.set(title=f"{dataset.name}: pixel values", xlabel="value (0 to 255)", ylabel="share of pixels (%)")
        ax.set_ylim(0, 1.2)
        ax.legend()
    return figure


def mean_images(dataset):
    """The mean training image of each class, or of each superclass where there are such."""
    images, labels = dataset.split("train")
    groups, names = dataset.by_superclass(labels)
    figure, axes = plt.subplots(len(names) // 5, 5, figsize=(9, 1.9 * len(names) // 5))
    for group, ax in enumerate(axes.flat):
        title = names[group].replace("large man-made", "man-made").replace("large natural", "natural")
        show_image(ax, images[groups == group].mean(0) / 255, title)
    kind = "superclass" if dataset.superclasses else "class"
    figure.suptitle(f"{dataset.name}: mean training image of each {kind}")
    return figure


def duplicate_images(dataset, groups, columns=7):
    """The images that occur more than once, each shown once, with where it occurs and under which class.

    `groups` as `exploration.find_duplicates` gives them.
    """
    rows = -(-len(groups) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(columns * 1.45, rows * 1.7), squeeze=False)
    for ax in axes.flat[len(groups) :]:
        ax.axis("off")
    for ax, group in zip(axes.flat, groups, strict=False):
        part, index, _ = group[0]
        lines = [f"{part}: {dataset.classes[label].replace('_', ' ')}" for part, _, label in group]
        show_image(ax, (dataset.x_train if part == "train" else dataset.x_test)[index], "\n".join(lines), size=7)
        if len({label for *_, label in group}) > 1:
            ax.title.set_color("#c0392b")
    figure.suptitle(f"{dataset.name}: images that occur more than once (in red: under two labels)")
    return figure
