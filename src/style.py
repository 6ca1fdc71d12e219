"""The one visual language of all figures: a colour and a marker a model, a line style a data set."""

import matplotlib.pyplot as plt

from src.utils import REPORTS_DIR, atomic_path

COLOURS = {
    "conv": "#1f77b4",
    "vae": "#d95f02",
    "denoising": "#d6277e",
    "pca": "#444444",
    "pixels": "#2a9d4a",
    "random": "#a0a0a0",
    "supervised": "#c0392b",
    "spatial": "#8e5bb5",
    "spatial_finetuned": "#c08fd8",
    "masked": "#17a2b8",
    "detail": "#7f8c1d",
    "luminance": "#8c6d5a",
    "contrastive": "#5b4bc4",
    "nested": "#00857c",
    "resnet18": "#9c2a6f",
    "prior work": "#b8860b",
}
LABELS = {
    "conv": "convolutional AE",
    "vae": "variational AE",
    "denoising": "denoising AE",
    "pca": "PCA",
    "pixels": "raw pixels",
    "random": "random encoder",
    "supervised": "supervised encoder",
    "spatial": "8x4x4 code, frozen",
    "spatial_finetuned": "8x4x4 code, fine-tuned",
    "masked": "masked AE",
    "detail": "detail-weighted AE",
    "luminance": "luminance-weighted AE",
    "contrastive": "contrastive AE",
    "nested": "nested AE",
    "resnet18": "ResNet-18 of ImageNet",
    "prior work": "prior work, conv",
}
READERS = {
    "accuracy_linear": "linear",
    "accuracy_knn": "k nearest neighbours",
    "accuracy_mlp": "MLP",
    "accuracy_conv": "convolutions through the decoder",
    "accuracy_both": "MLP and convolutions together",
}
READER_MARKERS = dict(zip(READERS, "^vosP", strict=True))
FAMILIES = ("conv", "vae")
LINES = {"CIFAR10": "-", "CIFAR100": "--"}
MARKERS = {"conv": "o", "vae": "s", "pca": "^", "denoising": "D", "random": "v", "supervised": "*", "nested": "P"}
MSE_LABEL = "squared error, pixels in [0, 1]"

RC = {
    "figure.constrained_layout.use": True,
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}


def apply_style():
    """Draw all figures from now on in the study's style."""
    plt.rcParams.update(RC)


def save_figure(figure, name, sample=False):
    """Save a figure as `reports/NAME.png`, or, when it shows the sample's results, as `reports/sample/NAME.png`."""
    folder = REPORTS_DIR / "sample" if sample else REPORTS_DIR
    with atomic_path(folder / f"{name}.png") as path:
        figure.savefig(path)


def show_image(ax, image, title=None, size=8):
    """One image, uint8 or float in [0, 1], without axes."""
    ax.imshow(image, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    for side in ax.spines.values():
        side.set_visible(False)
    if title:
        ax.set_title(title, fontsize=size, pad=2)
