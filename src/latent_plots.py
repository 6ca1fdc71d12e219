"""Figures of the latent space: each function takes images or points, returns a matplotlib Figure, and saves nothing."""

import matplotlib.pyplot as plt
import numpy as np

from src.style import show_image


def image_grid(rows, title, marked=()):
    """Images in rows: `rows` maps a label to images (n, 32, 32, 3), uint8 or in [0, 1]; `marked` (row, column) in red."""
    columns = max(len(images) for images in rows.values())
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(0.78 * columns + 1.9, 0.8 * len(rows) + 0.4), squeeze=False
    )
    for row, ((label, images), line) in enumerate(zip(rows.items(), axes, strict=True)):
        for column, ax in enumerate(line):
            if column >= len(images):
                ax.axis("off")
                continue
            show_image(ax, images[column])
            if (row, column) in marked:
                for side in ax.spines.values():
                    side.set(visible=True, color="#c0392b", linewidth=2)
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    figure.suptitle(title)
    return figure


def neighbours(dataset, queries, found, title):
    """Test images and the training images nearest to them, by each way of measuring; other classes are framed in red.

    `queries` are indices of test images; `found` maps a label to indices (len(queries), count) of training images.
    """
    rows, marked = {}, set()
    for query, index in enumerate(queries):
        for label, indices in found.items():
            name = f"{dataset.classes[dataset.y_test[index]]} ({index})"
            images = [dataset.x_test[index], *dataset.x_train[indices[query]]]
            wrong = dataset.y_train[indices[query]] != dataset.y_test[index]
            marked |= {(len(rows), 1 + column) for column in np.flatnonzero(wrong)}
            rows[f"{name}, {label}"] = np.stack(images)
    return image_grid(rows, title, marked)


def latent_map(points, labels, names, title):
    """Points in the plane, (N, 2), coloured by class."""
    figure, ax = plt.subplots(figsize=(7.5, 5.6))
    colours = plt.get_cmap("tab10" if len(names) <= 10 else "tab20")
    for label, name in enumerate(names):
        ax.scatter(*points[labels == label].T, s=8, alpha=0.7, color=colours(label % colours.N), label=name)
    ax.set(title=title, xlabel="t-SNE, first dimension (no unit)", ylabel="t-SNE, second dimension (no unit)")
    ax.legend(fontsize=8, markerscale=2, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
