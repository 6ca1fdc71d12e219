"""Figures of one's own images: each function takes images and tables, and returns a matplotlib Figure."""

import matplotlib.pyplot as plt

from src.style import COLOURS, show_image


def probabilities(images, tables, top=3):
    """A row an image, a column a latent size: the classes that the MLP finds most probable.

    `images` (N, 32, 32, 3); `tables` maps a latent size to the table of `classify`, probabilities (N, classes).
    """
    figure, axes = plt.subplots(
        len(images),
        1 + len(tables),
        figsize=(1.2 + 2.1 * len(tables), 1.05 * len(images) + 0.8),
        width_ratios=[0.55] + [1] * len(tables),
        squeeze=False,
    )
    for row, (line, image) in enumerate(zip(axes, images, strict=True)):
        show_image(line[0], image)
        for ax, (size, table) in zip(line[1:], tables.items(), strict=True):
            likely = table.iloc[row].nlargest(top)[::-1]
            ax.barh(range(len(likely)), 100 * likely, color=COLOURS["conv"], alpha=0.35)
            for position, (name, value) in enumerate(likely.items()):
                ax.text(2, position, f"{name}, {100 * value:.0f} %", va="center", fontsize=8)
            ax.set(xlim=(0, 100), yticks=[])
            ax.grid(False)
            if row == 0:
                ax.set_title(f"d = {size}", fontsize=10)
            ax.tick_params(labelbottom=row == len(images) - 1, labelsize=8)
    for ax in axes[-1, 1:]:
        ax.set_xlabel("probability (%)", fontsize=9)
    figure.suptitle("The class, read by the MLP from the code alone")
    return figure


def with_slider(draw, sizes):
    """`draw(size)`, a figure, under a slider over the latent sizes; without widgets, the figure of the largest."""
    try:
        from ipywidgets import SelectionSlider, interactive
    except ImportError:
        return draw(sizes[-1])
    return interactive(draw, size=SelectionSlider(options=sizes, value=sizes[-1], description="latent size"))
