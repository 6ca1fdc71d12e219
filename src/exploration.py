"""What can be said of a data set before anything is trained on it: each function returns a table or a sentence."""

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestCentroid

from src.cifar import PUBLISHED_STATISTICS

CHANNELS = ("red", "green", "blue")


def overview(datasets):
    """Shape, type, range and balance of every split, a row each."""
    rows = []
    for dataset in datasets:
        for part in ("train", "validation", "test"):
            images, labels = dataset.split(part)
            counts = np.bincount(labels, minlength=len(dataset.classes))
            rows.append(
                {
                    "data set": dataset.name,
                    "split": part,
                    "images": str(images.shape),
                    "type": str(images.dtype),
                    "range": f"{images.min()} to {images.max()}",
                    "labels": f"{labels.min()} to {labels.max()}",
                    "images of a class": f"{counts.min()} to {counts.max()}",
                }
            )
    return pd.DataFrame(rows)


def balance_sentence(datasets):
    """How even the classes are."""
    lines = []
    for dataset in datasets:
        counts = {part: np.bincount(dataset.split(part)[1]) for part in ("train", "validation", "test")}
        ranges = ", ".join(f"{c.min()} to {c.max()} in the {part} split" for part, c in counts.items())
        whole = np.bincount(dataset.y_train)
        even = "exactly even" if whole.min() == whole.max() else f"{whole.min()} to {whole.max()}"
        lines.append(
            f"- {dataset.name}: before validation is split off, training classes are {even}; images of a class: {ranges}."
        )
    return "\n".join(lines)


def channel_statistics(datasets):
    """Mean and standard deviation of each channel of the training images in [0, 1], beside the published values."""
    rows = []
    for dataset in datasets:
        pixels = dataset.x_train.reshape(-1, 3)
        mean = pixels.mean(0, dtype=np.float64) / 255
        std = np.sqrt([np.square(pixels[:, c], dtype=np.float64).mean() / 255**2 - mean[c] ** 2 for c in range(3)])
        published = PUBLISHED_STATISTICS[dataset.name]
        for channel, name in enumerate(CHANNELS):
            rows.append(
                {
                    "data set": dataset.name,
                    "channel": name,
                    "mean": mean[channel],
                    "published mean": published[0][channel],
                    "std": std[channel],
                    "published std": published[1][channel],
                }
            )
    return pd.DataFrame(rows).round(4)


def statistics_sentence(statistics):
    """How far the measured statistics are from the published ones."""
    worst = max(
        (statistics["mean"] - statistics["published mean"]).abs().max(),
        (statistics["std"] - statistics["published std"]).abs().max(),
    )
    verdict = "these are the published data" if worst < 5e-4 else "these are not the complete published data"
    return f"The largest difference from the published values is {worst:.4f}: {verdict}."


def histogram_sentence(datasets):
    """How many values lie at the end of the scale, which a decoder must hit exactly."""
    lines = []
    for dataset in datasets:
        images, _ = dataset.split("train")
        white, black = (100 * np.mean(images == value) for value in (255, 0))
        channels = images.reshape(-1, 3)
        darkest, widest = (CHANNELS[i] for i in (channels.mean(0).argmin(), channels.std(0).argmax()))
        lines.append(
            f"- {dataset.name}: {white:.1f} % of all values are 255, {black:.1f} % are 0. The darkest channel is {darkest}, "
            f"the one with the widest spread {widest}."
        )
    return "\n".join(lines)


def mean_images_sentence(datasets):
    """How much of the class is in the mean images alone."""
    lines = []
    for dataset in datasets:
        (images, labels), (validation, truth) = dataset.split("train"), dataset.split("validation")
        nearest = NearestCentroid().fit(images.reshape(len(images), -1) / np.float32(255), labels)
        accuracy = nearest.score(validation.reshape(len(validation), -1) / np.float32(255), truth)
        lines.append(
            f"- {dataset.name}: whoever takes the class with the nearest mean image is right in {100 * accuracy:.1f} % of "
            f"the validation images; guessing gives {100 / len(dataset.classes):.0f} %."
        )
    return "\n".join(lines)


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


def duplicates_sentence(dataset, groups):
    """How many images occur more than once, where, and under how many labels."""
    if not groups:
        return f"**{dataset.name}** holds no image twice."
    across = sum({part for part, *_ in group} == {"train", "test"} for group in groups)
    two_labels = sum(len({label for *_, label in group}) > 1 for group in groups)
    return (
        f"**{dataset.name}** has {len(groups)} groups of identical images: {across} across training and test split, "
        f"{len(groups) - across} within one; {two_labels} of the groups carry more than one label."
    )


def duplicates_consequence(datasets, duplicates):
    """What the duplicates can do to a test accuracy."""
    lines = []
    for dataset in datasets:
        seen = sum(
            part == "test"
            for group in duplicates[dataset.name]
            for part, *_ in group
            if any(other == "train" for other, *_ in group)
        )
        share = 100 * seen / len(dataset.x_test)
        lines.append(
            f"- {dataset.name}: {seen} of {len(dataset.x_test):,} test images also occur among the training images, so a "
            f"test accuracy can be off by {share:.2f} points at most. They stay in, as everywhere in the literature."
        )
    return "\n".join(lines)
