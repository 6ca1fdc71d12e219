"""Drawings of the study's method, with real images in them."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyBboxPatch, Polygon

from src.style import COLOURS, LABELS, show_image


def bottleneck(image, rebuilt, code, name):
    """A uint8 image (32, 32, 3), the numbers of its code (d,), and what the decoder makes of them, in [0, 1]."""
    error = np.square(image / 255 - rebuilt).mean()
    figure, axes = plt.subplots(1, 5, figsize=(10, 2.6), width_ratios=(1.2, 1, 1.5, 1, 1.2))
    show_image(axes[0], image, "image: 3,072 numbers", size=10)
    _funnel(axes[1], "encoder", COLOURS[name], narrowing=True)
    axes[2].bar(np.arange(len(code)), code, color=COLOURS[name])
    axes[2].set(title=f"code: {len(code)} numbers", xlabel="latent unit", ylabel="value")
    _funnel(axes[3], "decoder", COLOURS[name], narrowing=False)
    show_image(axes[4], rebuilt, f"decoded: MSE {error:.4f}", size=10)
    figure.suptitle(f"The bottleneck of a {LABELS[name]} with d = {len(code)}: all else must come from the decoder")
    return figure


def _funnel(ax, text, colour, narrowing):
    left, right = (0.95, 0.3) if narrowing else (0.3, 0.95)
    corners = [(0, 0.5 - left / 2), (0, 0.5 + left / 2), (1, 0.5 + right / 2), (1, 0.5 - right / 2)]
    ax.add_patch(Polygon(corners, facecolor=colour, alpha=0.25, edgecolor=colour))
    ax.text(0.5, 0.5, text, ha="center", va="center")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.axis("off")


def pipeline(latent_dims, num_images):
    """The study from images to numbers: what is trained on what, and where labels come in."""
    figure, ax = plt.subplots(figsize=(10, 3.6))
    ax.set(xlim=(-1.5, 101.5), ylim=(1, 37))
    ax.axis("off")
    sizes = ", ".join(map(str, latent_dims))
    boxes = {
        "images": (0, 24, 17, 11, "#777777", f"images, no labels\n{num_images:,} to train on"),
        "encoder": (25, 24, 13, 11, COLOURS["conv"], "encoder\nconv, VAE,\ndenoising, PCA"),
        "code": (46, 24, 17, 11, COLOURS["vae"], f"code of d numbers\nd = {sizes}"),
        "decoder": (71, 24, 10, 11, COLOURS["conv"], "decoder"),
        "mse": (89, 24, 11, 11, "#777777", "image kept:\nMSE, PSNR"),
        "frozen": (46, 3, 17, 11, COLOURS["vae"], "the same codes,\nencoder frozen"),
        "labels": (25, 3, 13, 11, "#777777", "labels, used\nonly from here"),
        "reader": (70, 3, 12, 11, COLOURS["pixels"], "readers: linear,\nkNN, MLP, conv"),
        "accuracy": (89, 3, 11, 11, "#777777", "class kept:\naccuracy"),
    }
    for x, y, width, height, colour, text in boxes.values():
        shape = FancyBboxPatch(
            (x, y), width, height, "round,pad=0.4,rounding_size=1.2", fc=colour, ec=colour, alpha=0.2
        )
        ax.add_patch(shape)
        ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=9)
    arrows = "images encoder, encoder code, code decoder, decoder mse, labels frozen, frozen reader, reader accuracy"
    for arrow in arrows.split(", "):
        start, end = (boxes[name] for name in arrow.split())
        _arrow(ax, (start[0] + start[2] + 0.8, start[1] + start[3] / 2), (end[0] - 0.8, end[1] + end[3] / 2))
    _arrow(ax, (54.5, 23), (54.5, 15.2))
    ax.set_title("From an image to its code and back, and from the code to the class")
    return figure


def _arrow(ax, start, end):
    ax.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": "#444444", "lw": 1.2})
