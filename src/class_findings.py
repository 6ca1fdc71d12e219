"""What the results say of the class that can be read from a code; as `findings`, computed from the rows."""

from itertools import pairwise

import numpy as np
from sklearn.metrics import confusion_matrix

from src.style import FAMILIES, LABELS, READERS
from src.wording import in_points, latent_sizes, level, listed, mean_over_seeds, percent, table_by_size, with_spread


def readers_table(results):
    """Test accuracy of every reader of the convolutional code, in Markdown: mean and standard deviation over seeds."""
    codes = results[results.autoencoder == "conv"]
    sizes, table = sorted(codes.latent_dim.unique()), {}
    for dataset, rows in codes.groupby("dataset"):
        for reader, label in READERS.items():
            by_size = 100 * rows.groupby("latent_dim")[reader].agg(["mean", "std"])
            table[f"{dataset}, {label}"] = [with_spread("{:.1f} %", *by_size.loc[size]) for size in sizes]
    return table_by_size(sizes, table)


def readers(results):
    """How much of what a code holds depends on who reads it."""
    lines = []
    for dataset, rows in results.groupby("dataset"):
        means = rows.groupby(["autoencoder", "latent_dim"])[list(READERS)].mean()
        sizes = latent_sizes(means.accuracy_mlp)
        conv = means.loc["conv"]
        best = [f"{READERS[conv.loc[size].idxmax()]} ({percent(conv.loc[size].max())})" for size in sizes]
        gains, together = (100 * (conv[reader] - conv.accuracy_mlp) for reader in ("accuracy_conv", "accuracy_both"))
        over_linear = 100 * (conv.max(axis=1) - conv.accuracy_linear)
        beside_pca = 100 * (conv - means.loc["pca"])[["accuracy_mlp", "accuracy_conv", "accuracy_both"]].dropna()
        lines += [
            f"- {dataset}: what reads the convolutional code best is, at d = {listed(sizes)}: {listed(best)}; that is "
            f"{in_points(over_linear)} points over the linear reader of the same numbers.",
            f"- {dataset}: reading through the decoder is worth {in_points(gains)} points over the MLP, and both together "
            f"{in_points(together)}. The same convolutions read {percent(level(rows, 'pixels', 'accuracy_conv'))} from the "
            f"original images, which is the ceiling of this reader; a linear classifier on the pixels "
            f"{percent(level(rows, 'pixels'))}.",
            f"- {dataset}: beside PCA's code at d = {listed(beside_pca.index)}, ours is worth "
            f"{in_points(beside_pca.accuracy_mlp)} points to the MLP, {in_points(beside_pca.accuracy_conv)} to the "
            f"convolutions and {in_points(beside_pca.accuracy_both)} to both together.",
        ]
    return "\n".join(lines)


def classification(results, prior):
    """How much of the class survives, beside the codes and the images that the study compares with."""
    lines = []
    for dataset, rows in results.groupby("dataset"):
        accuracy = mean_over_seeds(rows, "accuracy_mlp")
        sizes = latent_sizes(accuracy)
        for name in (*FAMILIES, "pca"):
            values = ", ".join(percent(accuracy[name, size]) for size in sizes)
            lines.append(f"- {dataset}, {LABELS[name]}: {values} at d = {listed(sizes)}.")
        steps = [
            f"{100 * (accuracy['conv', b] - accuracy['conv', a]):+.1f} points from {a} to {b}"
            for a, b in pairwise(sizes)
        ]
        lines.append(
            f"- {dataset}: more numbers are worth {', '.join(steps)} to the classifier on the convolutional code."
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
    pairs = ", ".join(f"{names[a]} for {names[b]} ({percent(mistakes[a, b])})" for a, b in worst)
    return (
        f"- {dataset}: recognised best is {names[order[-1]]} ({percent(shares[order[-1], order[-1]])}), worst "
        f"{names[order[0]]} ({percent(shares[order[0], order[0]])}); most often taken for another: {pairs}."
    )


def class_accuracy(predictions, dataset):
    """Which class gains most and least from a larger code; `predictions` maps a latent size to predicted classes."""
    truth, names = dataset.by_superclass(dataset.y_test)
    small, large = min(predictions), max(predictions)
    shares = {
        size: confusion_matrix(truth, dataset.by_superclass(predictions[size])[0], normalize="true").diagonal()
        for size in (small, large)
    }
    gains = 100 * (shares[large] - shares[small])
    most, least = gains.argmax(), gains.argmin()
    return (
        f"- {dataset.name}: from d = {small} to {large}, {names[most]} gains most ({gains[most]:+.1f} points), "
        f"{names[least]} least ({gains[least]:+.1f}); {(gains > 0).sum()} of {len(names)} are recognised more often."
    )


def error_against_accuracy(results):
    """Whether a code that keeps more of the image also keeps more of the class, at the same size and over sizes."""
    lines = []
    for dataset, rows in results.groupby("dataset"):
        rows = rows[rows.autoencoder.isin((*FAMILIES, "pca"))]
        means = rows.groupby(["autoencoder", "latent_dim"])[["test_mse", "accuracy_mlp"]].mean()
        over_all = means.corr("spearman").iloc[0, 1]
        agree = [
            (group.test_mse.idxmin() == group.accuracy_mlp.idxmax()) for _, group in means.groupby(level="latent_dim")
        ]
        lines.append(
            f"- {dataset}: over all codes the rank correlation of error and accuracy is {over_all:+.2f}; at the same size "
            f"the code with the least error is also the best to read at {sum(agree)} of {len(agree)} sizes."
        )
    return "\n".join(lines)


def baselines(results):
    """How far the autoencoders are from the floor, the ceiling, and what needs no training."""
    lines = []
    for dataset, rows in results.groupby("dataset"):
        mlp = mean_over_seeds(rows, "accuracy_mlp")
        sizes = latent_sizes(mlp)
        beside = {"pca": "PCA's code", "random": "that of the random encoder", "supervised": "that trained with labels"}
        gaps = [
            f"{in_points([100 * (mlp['conv', size] - mlp[name, size]) for size in sizes])} points beside {code}"
            for name, code in beside.items()
            if name in mlp.index
        ]
        above = [size for size in sizes if "supervised" in mlp.index and mlp["conv", size] > mlp["supervised", size]]
        caveat = f" Labels do not make a ceiling at d = {listed(above)}." if above else ""
        spatial = rows[rows.autoencoder == "spatial"].iloc[0]
        lines.append(
            f"- {dataset}: from the convolutional code the MLP reads {'; '.join(gaps)}, at d = {listed(sizes)}.{caveat} "
            f"The 8x4x4 code of {spatial.latent_dim} numbers leaves an error "
            f"of {spatial.test_mse:.4f}, where the convolutional autoencoder leaves "
            f"{mean_over_seeds(rows, 'test_mse')['conv', sizes[-1]]:.4f} with {sizes[-1]} numbers; from it the MLP reads "
            f"{percent(spatial.accuracy_mlp)}, and {percent(level(rows, 'spatial_finetuned', 'accuracy_mlp'))} once "
            f"its encoder has seen labels."
        )
    return "\n".join(lines)


def objectives(results):
    """Which objectives help a reader, at which cost to the image; all beside the plain squared error."""
    lines = []
    for dataset, rows in results.groupby("dataset"):
        rows = rows.set_index("autoencoder")
        plain = rows.loc["conv"]
        for name, row in rows.drop("conv").sort_values("accuracy_mlp", ascending=False).iterrows():
            points = [100 * (row[reader] - plain[reader]) for reader in list(READERS)[:3]]
            lines.append(
                f"- {dataset}, {LABELS[name]}: {points[0]:+.1f} points for the linear reader, {points[1]:+.1f} for the "
                f"neighbours, {points[2]:+.1f} for the MLP; error {100 * (row.test_mse / plain.test_mse - 1):+.1f} %, "
                f"time {row.autoencoder_seconds / plain.autoencoder_seconds:.2f} times as long."
            )
        better = rows.index[rows.accuracy_mlp > plain.accuracy_mlp]
        lines.append(
            f"- {dataset}: {len(better)} of {len(rows) - 1} objectives are better for the MLP than the plain squared error"
            f"{f' ({listed(LABELS[name] for name in better)})' if len(better) else ''}."
        )
    return "\n".join(lines)
