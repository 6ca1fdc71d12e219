"""What the results say, in words: every sentence and table of the story is computed from the rows it is about.

`results` is the table of `reports/results.csv` as a pandas DataFrame; all functions return Markdown.
"""

import os
from itertools import pairwise

import numpy as np
from sklearn.metrics import confusion_matrix

from src.style import LABELS

FAMILIES = ("conv", "vae")
PRIOR_COLUMN = {"test_mse": "test_mse", "accuracy_mlp": "accuracy"}


def headline(results):
    """The answer to the study's question, two sentences a data set."""
    if results.empty:
        return "There are no results yet."
    lines = []
    for dataset, rows in results.groupby("dataset"):
        mse, accuracy = _means(rows, "test_mse"), _means(rows, "accuracy_mlp")
        sizes = _sizes(mse)
        small, large = sizes[0], sizes[-1]
        lines.append(
            f"**{dataset}{_sample_note(rows)}.** From {small} to {large} numbers an image, the mean squared error of "
            f"the convolutional autoencoder falls from {mse['conv', small]:.4f} to {mse['conv', large]:.4f} "
            f"({_percent(mse['conv', small] / mse['pca', small])} and "
            f"{_percent(mse['conv', large] / mse['pca', large])} of what PCA leaves). The class that a classifier "
            f"reads from those numbers alone is right in {_percent(accuracy['conv', small])} to "
            f"{_percent(accuracy['conv', large])} of the test images, where a linear classifier on all 3,072 pixel "
            f"values gets {_percent(_level(rows, 'pixels'))}."
        )
    return "\n\n".join(lines)


def data(datasets, wanted):
    """What there is to learn from, where it came from, and what of the `wanted` data sets is missing."""
    lines = []
    for dataset in datasets:
        sizes = [f"{len(dataset.split(part)[0]):,}" for part in ("train", "validation", "test")]
        lines.append(
            f"- **{dataset.name}** ({dataset.source}): {sizes[0]} images to train on, {sizes[1]} to choose by, {sizes[2]} "
            f"to report on; {len(dataset.classes)} classes."
        )
    if any(dataset.is_sample for dataset in datasets):
        lines.append(
            "\n**This is a run on the embedded SAMPLE, a tenth of the data. It shows that everything works; its numbers "
            "are not the study's, and the study's own results are left as they are.**"
        )
    missing = [name for name in wanted if name not in [dataset.name for dataset in datasets]]
    if missing:
        lines.append(f"\n**{_list(missing)} was not available and is left out.**")
    return "\n".join(lines)


def effort(results):
    """What the grid took."""
    seconds = results[["autoencoder_seconds", "classifier_seconds"]].sum(axis=1)
    longest = results.loc[seconds.idxmax()]
    return (
        f"{len(results)} experiments took {seconds.sum() / 60:.0f} minutes of one core, most of them for training "
        f"autoencoders ({_percent(results.autoencoder_seconds.sum() / seconds.sum())}); the longest was "
        f"{longest.dataset} {longest.autoencoder} {longest.latent_dim} with {seconds.max():.0f} s."
    )


def training(histories, dataset):
    """How far training came, and whether it was at its end; `histories` as plots.training_curves takes them."""
    lines = []
    for name in FAMILIES:
        runs = [history for (family, _), history in histories.items() if family == name]
        first = [history[0]["val_reconstruction"] for history in runs]
        before = [history[-2:][0]["val_reconstruction"] for history in runs]  # of one epoch alone, that one
        last = [history[-1]["val_reconstruction"] for history in runs]
        train = [history[-1]["train_reconstruction"] for history in runs]
        lines.append(
            f"- {dataset}, {LABELS[name]}: the validation error ended {_changes(first, last)} from where it was after one "
            f"epoch, {_changes(before, last)} from the last epoch but one, and {_changes(train, last)} from the training "
            f"error."
        )
    return "\n".join(lines)


def reconstruction(results, prior):
    """How much of the image survives, beside PCA and the prior work."""
    lines = []
    for dataset, rows in results.groupby("dataset"):
        mse = _means(rows, "test_mse")
        sizes = _sizes(mse)
        for name in FAMILIES:
            shares = ", ".join(_percent(mse[name, size] / mse["pca", size]) for size in sizes)
            better = sum(mse[name, size] < mse["pca", size] for size in sizes)
            lines.append(
                f"- {dataset}, {LABELS[name]}: {shares} of PCA's error at d = {_list(sizes)}; below PCA at {better} of "
                f"{len(sizes)} sizes."
            )
        known = prior[prior.dataset == dataset].set_index("latent_dim").test_mse
        beaten = [size for size in sizes if size in known and mse["conv", size] <= known[size]]
        lines.append(
            f"- {dataset}: against the prior work's convolutional autoencoder, the error of ours is lower at "
            f"{len(beaten)} of {len(sizes)} sizes{f' (d = {_list(beaten)})' if beaten else ''}."
        )
    return "\n".join(lines)


def information(results):
    """What the VAE's code costs and whether all of it is in use."""
    lines = []
    for dataset, rows in results[results.autoencoder == "vae"].groupby("dataset"):
        table = rows.groupby("latent_dim")[["kl_nats", "active_units", "bits_per_dim"]].mean()
        falls = (table.bits_per_dim.diff().dropna() < 0).all()
        lines.append(
            f"- {dataset}: at d = {_list(table.index)} the code carries {_list(table.kl_nats.round(0).astype(int))} "
            f"nats an image in {_list(table.active_units.round(0).astype(int))} active units; the bound on the code length "
            f"of an image is {_list(f'{bits:.2f}' for bits in table.bits_per_dim)} bits a number, "
            f"{'lower' if falls else 'not always lower'} with every larger code."
        )
    return "\n".join(lines)


def classification(results, prior):
    """How much of the class survives, beside the codes and the images that the study compares with."""
    lines = []
    for dataset, rows in results.groupby("dataset"):
        accuracy, linear = _means(rows, "accuracy_mlp"), _means(rows, "accuracy_linear")
        sizes = _sizes(accuracy)
        for name in (*FAMILIES, "pca"):
            values = ", ".join(_percent(accuracy[name, size]) for size in sizes)
            lines.append(f"- {dataset}, {LABELS[name]}: {values} at d = {_list(sizes)}.")
        steps = [
            f"{100 * (accuracy['conv', b] - accuracy['conv', a]):+.1f} points from {a} to {b}"
            for a, b in pairwise(sizes)
        ]
        lines.append(
            f"- {dataset}: more numbers are worth {', '.join(steps)} to the classifier on the convolutional code."
        )
        size = sizes[-1]
        lines.append(
            f"- {dataset}: at d = {size} a linear classifier reads {_percent(linear['conv', size])} from the "
            f"convolutional code, the MLP {_percent(accuracy['conv', size])}; from all pixels the linear classifier "
            f"reads {_percent(_level(rows, 'pixels'))}, from the 8x4x4 code {_percent(_level(rows, 'spatial'))}, and "
            f"{_percent(_level(rows, 'spatial_finetuned'))} once its encoder has seen labels."
        )
        known = prior[prior.dataset == dataset].dropna().set_index("latent_dim").accuracy
        gains = [f"{100 * (accuracy['conv', s] - known[s]):+.1f}" for s in sizes if s in known]
        if gains:
            lines.append(f"- {dataset}: against the prior work's classifiers, {', '.join(gains)} points.")
    return "\n".join(lines)


def confusions(dataset, truth, predicted, names, count=3):
    """The classes that are told apart best and worst, and the pairs most often mistaken for each other."""
    shares = confusion_matrix(truth, predicted, labels=range(len(names)), normalize="true")
    order = shares.diagonal().argsort()
    mistakes = shares * (1 - np.eye(len(names)))
    worst = [np.unravel_index(i, shares.shape) for i in mistakes.ravel().argsort()[::-1][:count]]
    pairs = ", ".join(f"{names[a]} for {names[b]} ({_percent(mistakes[a, b])})" for a, b in worst)
    return (
        f"- {dataset}: recognised best is {names[order[-1]]} ({_percent(shares[order[-1], order[-1]])}), worst "
        f"{names[order[0]]} ({_percent(shares[order[0], order[0]])}); most often taken for another: {pairs}."
    )


def trade_offs(results):
    """What one family has over the other, as measured."""
    lines = []
    for dataset, rows in results.groupby("dataset"):
        mse, accuracy = _means(rows, "test_mse"), _means(rows, "accuracy_mlp")
        seconds = _means(rows, "autoencoder_seconds")
        sizes = _sizes(mse)
        more = _changes([mse["conv", size] for size in sizes], [mse["vae", size] for size in sizes])
        points = [100 * (accuracy["vae", size] - accuracy["conv", size]) for size in sizes]
        slower = [seconds["vae", size] / seconds["conv", size] for size in sizes]
        lines.append(
            f"- {dataset}: the VAE's reconstruction error is {more} beside the convolutional "
            f"autoencoder's, its classifier's accuracy {min(points):+.1f} to {max(points):+.1f} points, its training "
            f"time {min(slower):.2f} to {max(slower):.2f} times as long."
        )
    return "\n".join(lines)


def baselines(results):
    """How far the autoencoders are from what needs none."""
    lines = []
    for dataset, rows in results.groupby("dataset"):
        mlp = _means(rows, "accuracy_mlp")
        sizes = _sizes(mlp)
        points = [100 * (mlp["conv", size] - mlp["pca", size]) for size in sizes]
        spatial = rows[rows.autoencoder == "spatial"].iloc[0]
        lines.append(
            f"- {dataset}: the same MLP reads {min(points):+.1f} to {max(points):+.1f} points from the convolutional code "
            f"beside PCA's at the same size. The 8x4x4 code of {spatial.latent_dim} numbers leaves an error of "
            f"{spatial.test_mse:.4f}, where the convolutional autoencoder leaves "
            f"{_means(rows, 'test_mse')['conv', sizes[-1]]:.4f} with {sizes[-1]} numbers."
        )
    return "\n".join(lines)


def limits(results, settings):
    """What the numbers rest on."""
    codes = results[results.autoencoder.isin(FAMILIES)]
    seeds = sorted(codes.seed.unique())
    spread = "; with one seed nothing is said about the spread between seeds" if len(seeds) == 1 else ""
    return (
        f"They rest on {int(codes.train_images.max()):,} training images, {settings.train.epochs} epochs for an "
        f"autoencoder and {settings.classifier.epochs} for a classifier, and {'seed' if len(seeds) == 1 else 'seeds'} {_list(seeds)}{spread}. They were "
        f"computed on {os.cpu_count()} cores, one experiment a core, and on another processor the last digits differ. "
        "The classifier is one kind of reader: a stronger one may find more in the same code. The test images were "
        "used for the reported numbers alone; every choice was made on the validation images."
    )


def results_table(results, prior):
    """The study in one table: what each code leaves of image and class at every latent size."""
    sizes = sorted(results[results.autoencoder.isin(FAMILIES)].latent_dim.unique())
    lines = [f"| | {' | '.join(f'd = {size}' for size in sizes)} |", f"| --- |{' --- |' * len(sizes)}"]
    for column, label, text in (("test_mse", "MSE", "{:.4f}"), ("accuracy_mlp", "accuracy", "{:.1f} %")):
        for dataset, rows in results.groupby("dataset"):
            scale = 100 if column == "accuracy_mlp" else 1
            means = scale * _means(rows, column)
            for name in (*FAMILIES, "pca"):
                cells = [text.format(means[name, size]) for size in sizes]
                lines.append(f"| {dataset} {label}, {LABELS[name]} | {' | '.join(cells)} |")
            known = scale * prior[prior.dataset == dataset].set_index("latent_dim")[PRIOR_COLUMN[column]].dropna()
            if len(known):
                cells = [text.format(known[size]) if size in known else "" for size in sizes]
                lines.append(f"| {dataset} {label}, {LABELS['prior work']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _means(rows, column):
    """Means over seeds by autoencoder and latent size."""
    return rows.groupby(["autoencoder", "latent_dim"])[column].mean()


def _sizes(means):
    return sorted(means["conv"].index)


def _level(rows, name):
    """A baseline's accuracy where it has one latent size only."""
    return rows[rows.autoencoder == name].accuracy_linear.mean()


def _sample_note(rows):
    return ", on the embedded SAMPLE only" if rows.is_sample.any() else ""


def _percent(share):
    return f"{100 * share:.1f} %"


def _changes(before, after):
    """The smallest and the largest relative change, signed."""
    changes = [100 * (b / a - 1) for a, b in zip(before, after, strict=True)]
    return f"{min(changes):+.1f} to {max(changes):+.1f} %"


def _list(values):
    return ", ".join(map(str, values))
