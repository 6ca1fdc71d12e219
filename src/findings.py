"""What the results say of image and code, in words: every sentence and table is computed from the rows it is about.

`results` is the table of `reports/results.csv` as a pandas DataFrame; all functions return Markdown.
"""

import os

from src.style import FAMILIES, LABELS
from src.wording import (
    in_points,
    latent_sizes,
    level,
    listed,
    mean_over_seeds,
    percent,
    relative_changes,
    sample_note,
    spread_over_seeds,
    table_by_size,
    with_spread,
)

PRIOR_COLUMN = {"test_mse": "test_mse", "accuracy_mlp": "accuracy"}


def headline(results):
    """The answer to the study's question, two sentences a data set."""
    if results.empty:
        return "There are no results yet."
    lines = []
    for dataset, rows in results.groupby("dataset"):
        mse, accuracy = mean_over_seeds(rows, "test_mse"), mean_over_seeds(rows, "accuracy_mlp")
        sizes = latent_sizes(mse)
        small, large = sizes[0], sizes[-1]
        lines.append(
            f"**{dataset}{sample_note(rows)}.** From {small} to {large} numbers an image, the mean squared error of "
            f"the convolutional autoencoder falls from {mse['conv', small]:.4f} to {mse['conv', large]:.4f} "
            f"({percent(mse['conv', small] / mse['pca', small])} and "
            f"{percent(mse['conv', large] / mse['pca', large])} of what PCA leaves). The class that a classifier "
            f"reads from those numbers alone is right in {percent(accuracy['conv', small])} to "
            f"{percent(accuracy['conv', large])} of the test images, where a linear classifier on all 3,072 pixel "
            f"values gets {percent(level(rows, 'pixels'))}."
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
        lines.append(f"\n**{listed(missing)} was not available and is left out.**")
    return "\n".join(lines)


def effort(results):
    """What the grid took."""
    seconds = results[["autoencoder_seconds", "classifier_seconds", "conv_reader_seconds"]].sum(axis=1)
    longest = results.loc[seconds.idxmax()]
    families = results[results.autoencoder.isin(FAMILIES)]
    grids = families.groupby("seed")[["autoencoder_seconds", "classifier_seconds"]].sum().sum(axis=1)
    text = (
        f"{len(results)} experiments took {seconds.sum() / 60:.0f} minutes of one core, "
        f"{percent(results.autoencoder_seconds.sum() / seconds.sum())} of them for training autoencoders and "
        f"{percent(results.conv_reader_seconds.sum() / seconds.sum())} for the convolutional reader; the longest was "
        f"{longest.dataset} {longest.autoencoder} {longest.latent_dim} with {seconds.max():.0f} s."
    )
    if len(grids):
        text += (
            f" One seed of the two families, {len(families) // len(grids)} pairs with linear, neighbour and MLP readers, took "
            f"{grids.mean() / 60:.1f} minutes of one core."
        )
    return text


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
            f"- {dataset}, {LABELS[name]}: the validation error ended {relative_changes(first, last)} from where it was after one "
            f"epoch, {relative_changes(before, last)} from the last epoch but one, and {relative_changes(train, last)} from the training "
            f"error."
        )
    return "\n".join(lines)


def reconstruction(results, prior):
    """How much of the image survives, beside PCA and the prior work."""
    lines = []
    for dataset, rows in results.groupby("dataset"):
        mse = mean_over_seeds(rows, "test_mse")
        sizes = latent_sizes(mse)
        for name in FAMILIES:
            shares = ", ".join(percent(mse[name, size] / mse["pca", size]) for size in sizes)
            better = sum(mse[name, size] < mse["pca", size] for size in sizes)
            lines.append(
                f"- {dataset}, {LABELS[name]}: {shares} of PCA's error at d = {listed(sizes)}; below PCA at {better} of "
                f"{len(sizes)} sizes."
            )
        known = prior[prior.dataset == dataset].set_index("latent_dim").test_mse
        beaten = [size for size in sizes if size in known and mse["conv", size] <= known[size]]
        lines.append(
            f"- {dataset}: against the prior work's convolutional autoencoder, the error of ours is lower at "
            f"{len(beaten)} of {len(sizes)} sizes{f' (d = {listed(beaten)})' if beaten else ''}."
        )
    return "\n".join(lines)


def information(results):
    """What the VAE's code costs and whether all of it is in use."""
    lines = []
    for dataset, rows in results[results.autoencoder == "vae"].groupby("dataset"):
        table = rows.groupby("latent_dim")[["kl_nats", "active_units", "bits_per_dim"]].mean()
        falls = (table.bits_per_dim.diff().dropna() < 0).all()
        lines.append(
            f"- {dataset}: at d = {listed(table.index)} the code carries {listed(table.kl_nats.round(0).astype(int))} "
            f"nats an image in {listed(table.active_units.round(0).astype(int))} active units; the bound on the code length "
            f"of an image is {listed(f'{bits:.2f}' for bits in table.bits_per_dim)} bits a number, "
            f"{'lower' if falls else 'not always lower'} with every larger code."
        )
    return "\n".join(lines)


def trade_offs(results):
    """What one family has over the other, as measured."""
    lines = []
    for dataset, rows in results.groupby("dataset"):
        mse, accuracy = mean_over_seeds(rows, "test_mse"), mean_over_seeds(rows, "accuracy_mlp")
        seconds = mean_over_seeds(rows, "autoencoder_seconds")
        sizes = latent_sizes(mse)
        more = relative_changes([mse["conv", size] for size in sizes], [mse["vae", size] for size in sizes])
        points = [100 * (accuracy["vae", size] - accuracy["conv", size]) for size in sizes]
        slower = [seconds["vae", size] / seconds["conv", size] for size in sizes]
        lines.append(
            f"- {dataset}: the VAE's reconstruction error is {more} beside the convolutional "
            f"autoencoder's, its classifier's accuracy {min(points):+.1f} to {max(points):+.1f} points, its training "
            f"time {min(slower):.2f} to {max(slower):.2f} times as long."
        )
    return "\n".join(lines)


def denoising(errors, results):
    """What noise in training buys on noisy images, and what it costs on clean ones and in accuracy."""
    lines = []
    mlp = results.groupby(["dataset", "autoencoder", "latent_dim"]).accuracy_mlp.mean()
    for dataset, rows in errors.groupby("dataset"):
        mse = rows.set_index(["autoencoder", "noise", "latent_dim"]).mse.sort_index()
        levels, sizes = sorted(rows.noise.unique()), sorted(rows.latent_dim.unique())
        changes = [
            relative_changes(mse["conv", level].loc[sizes], mse["denoising", level].loc[sizes])
            for level in (levels[0], levels[-1])
        ]
        points = [100 * (mlp[dataset, "denoising", size] - mlp[dataset, "conv", size]) for size in sizes]
        lines.append(
            f"- {dataset}: beside the convolutional autoencoder, the error of the denoising one is {changes[0]} on clean "
            f"images and {changes[1]} at a noise of {levels[-1]:g}; the MLP reads {in_points(points)} points from its code at "
            f"d = {listed(sizes)}."
        )
    return "\n".join(lines)


def limits(results, settings):
    """What the numbers rest on."""
    codes = results[results.autoencoder.isin(FAMILIES)]
    seeds = sorted(codes.seed.unique())
    spread = "; with one seed nothing is said about the spread between seeds" if len(seeds) == 1 else ""
    return (
        f"They rest on {int(codes.train_images.max()):,} training images, {settings.train.epochs} epochs for an "
        f"autoencoder and {settings.mlp.epochs} for the MLP, and {'seed' if len(seeds) == 1 else 'seeds'} {listed(seeds)}{spread}. They were "
        f"computed on {os.cpu_count()} cores, one experiment a core, and on another processor the last digits differ. "
        "A reader that is stronger still may find more in the same code. The test images were used for the reported "
        "numbers alone, and the choices made on the validation images, with two exceptions: the noise of the denoising "
        "autoencoder was doubled after a run on the sample had shown that it made no difference, and what was searched "
        "last, network, rates and readers, was searched because an earlier version had missed some of the marks of "
        "appendix A on the test images."
    )


def results_table(results, prior):
    """The study in one table: what each code leaves of image and class at every latent size."""
    sizes, table = sorted(results[results.autoencoder.isin(FAMILIES)].latent_dim.unique()), {}
    for column, label, text in (("test_mse", "MSE", "{:.4f}"), ("accuracy_mlp", "accuracy", "{:.1f} %")):
        for dataset, rows in results.groupby("dataset"):
            scale = 100 if column == "accuracy_mlp" else 1
            means, spread = scale * mean_over_seeds(rows, column), scale * spread_over_seeds(rows, column)
            for name in (*FAMILIES, "denoising", "pca"):
                if name not in means.index:
                    continue
                cells = [with_spread(text, means[name, size], spread[name, size]) for size in sizes]
                table[f"{dataset} {label}, {LABELS[name]}"] = cells
            known = scale * prior[prior.dataset == dataset].set_index("latent_dim")[PRIOR_COLUMN[column]].dropna()
            if len(known):
                cells = [text.format(known[size]) if size in known else "" for size in sizes]
                table[f"{dataset} {label}, {LABELS['prior work']}"] = cells
    return table_by_size(sizes, table)
