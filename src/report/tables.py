"""Tables of the results: each function takes rows of `results.csv` and returns a frame of text, for `as_markdown`.

Numbers are means over seeds, with the standard deviation where there are several.
"""

import pandas as pd

from src.report.style import LOOKS, OF_ONE_SIZE, PROBE_LABELS, label, with_best_probe
from src.study.answers import paired_differences


def as_markdown(frame):
    """A frame as a table in Markdown, its index as the first columns; a line that says so where it is empty."""
    if frame.empty:
        return "*Nothing to show: the results do not have what this table is made of.*"
    frame = frame.reset_index().astype(object).where(lambda cells: cells.notna(), "")
    lines = [list(map(str, frame.columns)), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def folded(summary, frame):
    """A table in Markdown that is shown when its summary is clicked."""
    return f"<details><summary>{summary}</summary>\n\n{as_markdown(frame)}\n\n</details>"


def error_table(results):
    """Test MSE in thousandths by latent size."""
    rows = results[results.autoencoder != "pixels"]
    return _by_size(rows.assign(value=1000 * rows.test_mse), 2)


def accuracy_table(results):
    """Test accuracy (%) of the MLP probe by latent size."""
    return _by_size(results.assign(value=100 * results.accuracy_mlp), 1)


def overview(results, dataset, size, names):
    """What codes of one size keep, a line for each of `names`: the image, the class by the best probe, and what the code took to train."""
    rows = with_best_probe(results[(results.dataset == dataset) & (results.latent_dim == size)])
    lines = {}
    for name in names:
        part = rows[rows.autoencoder == name]
        if len(part):
            means = part[["test_mse", "accuracy_best", "bits_best", "autoencoder_seconds"]].astype(float).mean()
            lines[label(name)] = {
                "test MSE (thousandths)": _number(1000 * means.test_mse, 1),
                "accuracy (%)": _number(100 * means.accuracy_best, 1),
                "best probe": PROBE_LABELS[part.best_probe.iloc[0]],
                "class (bits)": _number(means.bits_best, 2),
                "training (core minutes)": _number(means.autoencoder_seconds / 60, 1),
            }
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("code")


def _number(value, digits):
    return "" if pd.isna(value) else f"{value:.{digits}f}"


def difference_to_pca(results, autoencoder, answers):
    """Test accuracy of each probe on an autoencoder's codes less that on PCA's, in points, by latent size.

    `answers` are those of the study, on the same test images: ± is twice the standard error of the difference, and in bold are
    differences that are larger than that.
    """
    rows = {}
    for probe, name in PROBE_LABELS.items():
        for dataset, of_dataset in results.groupby("dataset", sort=False):
            sizes = sorted(of_dataset.latent_dim.unique())
            found = paired_differences(answers, dataset, sizes, autoencoder, "pca", probe)
            for size, points, error in found.itertuples():
                text = f"**{points:+.1f}**" if abs(points) > 2 * error else f"{points:+.1f}"
                rows.setdefault((dataset, name), {})[f"d = {size}"] = f"{text} ± {2 * error:.1f}"
    frame = pd.DataFrame.from_dict(rows, orient="index").fillna("")
    return frame.rename_axis(index=["data set", "probe"]).sort_index(level=0, sort_remaining=False) if rows else frame


def information_table(results, png):
    """The VAE's KL in nats per image, active units and bound in bits/dim, means over seeds, beside `png`, PNG's bits/dim by data set."""
    means = results.dropna(subset=["kl_nats"]).groupby(["dataset", "latent_dim"])
    means = means[["kl_nats", "active_units", "bits_per_dim"]].mean().astype(float)
    texts = {
        "KL (nats per image)": means.kl_nats.map("{:.0f}".format),
        "active units": means.active_units.map("{:.0f}".format),
        "bound (bits/dim)": means.bits_per_dim.map("{:.2f}".format),
        "PNG (bits/dim)": [f"{png[dataset]:.2f}" for dataset, _ in means.index],
    }
    return pd.DataFrame(texts).rename_axis(index=["data set", "d"])


def _by_size(results, digits):
    """`value` as text, a line for each data set and model, a column for each latent size.

    Codes of one size only are in the last column, with that size.
    """
    results = results.assign(model=results.autoencoder.map(label)).dropna(subset=["value"])
    if results.empty:
        return pd.DataFrame()
    table = results.groupby(["dataset", "autoencoder", "model", "latent_dim"], sort=False).value
    table = table.agg(["mean", "std", "size"]).reset_index()
    table["order"] = table.autoencoder.map(lambda name: [*LOOKS, name].index(name))
    table["fixed"] = table.autoencoder.isin(OF_ONE_SIZE)
    table["text"] = table["mean"].map(f"{{:.{digits}f}}".format)
    table.loc[table["std"].notna(), "text"] += " ± " + table["std"].map(f"{{:.{digits}f}}".format)
    table.loc[table.fixed, "text"] += " (" + table.latent_dim.astype(str) + ")"
    table["column"] = ("d = " + table.latent_dim.astype(str)).where(~table.fixed, "fixed size")
    columns = [f"d = {d}" for d in sorted(table.latent_dim[~table.fixed].unique())] + ["fixed size"] * any(table.fixed)
    lines = table.sort_values(["dataset", "order"], kind="stable")[["dataset", "model"]].drop_duplicates()
    texts = table.pivot(index=["dataset", "model"], columns="column", values="text").fillna("")
    texts = texts[columns].loc[pd.MultiIndex.from_frame(lines)]
    seeds = table.groupby(["dataset", "model"])["size"].agg(["min", "max"])
    seeds = seeds.loc[texts.index].astype(str).to_numpy()
    texts["seeds"] = [" to ".join(dict.fromkeys(ends)) for ends in seeds]
    return texts.rename_axis(index=["data set", "model"], columns=None)


def few_labels_table(rows):
    """Test accuracy (%) by number of labelled images of each class, means ± standard deviation over draws."""
    groups = rows.assign(code=rows.code.map(label))
    groups = groups.groupby(["dataset", "code", "per_class"], sort=False).accuracy
    texts = (100 * groups.mean()).map("{:.1f}".format)
    texts += (100 * groups.std()).map(" ± {:.1f}".format).where(groups.size() > 1, "")
    return texts.unstack("per_class").rename_axis(index=["data set", "code"], columns=None)
