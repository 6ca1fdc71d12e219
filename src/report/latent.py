"""Figures of images, codes and the method: each function takes images or tables and returns a matplotlib Figure."""

import matplotlib.pyplot as plt
import numpy as np

from src.report.style import WRONG, colour, label, show_image


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


def neighbours(dataset, queries, found, title):
    """Test images and the training images nearest to them, in each space; other classes are framed in red.

    `queries` are indices of test images; `found` maps a label to indices (len(queries), count) of training images.
    """
    rows, marked = {}, set()
    for query, index in enumerate(queries):
        for name, indices in found.items():
            wrong = dataset.y_train[indices[query]] != dataset.y_test[index]
            marked |= {(len(rows), 1 + column) for column in np.flatnonzero(wrong)}
            images = np.stack([dataset.x_test[index], *dataset.x_train[indices[query]]])
            rows[f"{dataset.classes[dataset.y_test[index]]} ({index}), {name}"] = images
    return image_grid(rows, title, marked)


def method(image, code, reconstruction, model, probabilities):
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


def probabilities(images, tables):
    """A row an image, a column a latent size: the classes that the MLP probe finds most probable.

    `images` (N, 32, 32, 3); `tables` maps a latent size to the table of `classify`, probabilities (N, classes).
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
