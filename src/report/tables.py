"""Tables of the results: each function takes rows of `results.csv` and returns a frame of text, for `as_markdown`.

Numbers are means over seeds, with the standard deviation where there are several. Bold is the best number of each data set
and size, among those whose encoder no label was used for.
"""

import pandas as pd

from src.report.style import LOOKS, OF_ONE_SIZE, PROBE_LABELS, WITH_LABELS, label
from src.study.answers import paired_difference


def as_markdown(frame):
    """A frame as a table in Markdown, its index as the first columns; a line that says so where it is empty."""
    if frame.empty:
        return "*Nothing to show: the results do not have what this table is made of.*"
    frame = frame.reset_index().astype(object).where(lambda cells: cells.notna(), "")
    lines = [list(map(str, frame.columns)), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def error_table(results):
    """Test MSE in thousandths by latent size."""
    rows = results[(results.autoencoder != "pixels")]
    return _by_size(rows.assign(value=1000 * rows.test_mse, model=rows.autoencoder.map(label)), 2, min, "model")


def accuracy_table(results, probe="mlp"):
    """Test accuracy (%) of a probe by latent size."""
    values = {"value": 100 * results[f"accuracy_{probe}"], "model": results.autoencoder.map(label)}
    return _by_size(results.assign(**values), 1, max, "model")


def probe_table(results, autoencoder):
    """Test accuracy (%) of every probe on the codes of an autoencoder, by latent size."""
    rows = results[results.autoencoder == autoencoder]
    parts = [rows.assign(value=100 * rows[f"accuracy_{probe}"], probe=name) for probe, name in PROBE_LABELS.items()]
    return _by_size(pd.concat(parts), 1, max, "probe")


def difference_to_pca(results, autoencoder, answers):
    """Test accuracy of each probe on an autoencoder's codes less that on PCA's, in points, by latent size.

    `answers` are those of the study, on the same test images: ± is twice the standard error of the difference, and in bold are
    differences that are larger than that.
    """
    rows = {}
    for probe, name in PROBE_LABELS.items():
        for dataset, size in results[["dataset", "latent_dim"]].drop_duplicates().itertuples(index=False):
            try:
                points, error = paired_difference(answers, dataset, size, autoencoder, "pca", probe)
            except ValueError:  # one of the two was not run
                continue
            text = _bold(f"{points:+.1f}", abs(points) > 2 * error)
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


def _by_size(results, digits, best, row):
    """`value` as text, a line for each data set and value of the column `row`, a column for each latent size.

    Codes of one size only are in the last column, with that size.
    """
    results = results.dropna(subset=["value"])
    if results.empty:
        return pd.DataFrame()
    table = results.groupby(["dataset", "autoencoder", row, "latent_dim"], sort=False).value
    table = table.agg(["mean", "std", "size"]).reset_index()
    table["order"] = table.autoencoder.map(lambda name: [*LOOKS, name].index(name))
    table["fixed"] = table.autoencoder.isin(OF_ONE_SIZE)
    compared = ~table.fixed & ~table.autoencoder.isin(WITH_LABELS)
    table["number"] = table["mean"].map(f"{{:.{digits}f}}".format)
    key = ["dataset", "latent_dim"]
    table["best"] = table["mean"].where(compared).groupby([table[k] for k in key]).transform(best)
    table["best"] = compared & (table["best"].map(f"{{:.{digits}f}}".format) == table.number)
    table["text"] = list(map(_bold, table.number, table["best"]))
    table.loc[table["std"].notna(), "text"] += " ± " + table["std"].map(f"{{:.{digits}f}}".format)
    table.loc[table.fixed, "text"] += " (" + table.latent_dim.astype(str) + ")"
    table["column"] = ("d = " + table.latent_dim.astype(str)).where(~table.fixed, "fixed size")
    columns = [f"d = {d}" for d in sorted(table.latent_dim[~table.fixed].unique())] + ["fixed size"] * any(table.fixed)
    lines = table.sort_values(["dataset", "order"], kind="stable")[["dataset", row]].drop_duplicates()
    texts = table.pivot(index=["dataset", row], columns="column", values="text").fillna("")
    texts = texts[columns].loc[pd.MultiIndex.from_frame(lines)]
    seeds = table.groupby(["dataset", row])["size"].agg(["min", "max"])
    seeds = seeds.loc[texts.index].astype(str).to_numpy()
    texts["seeds"] = [" to ".join(dict.fromkeys(ends)) for ends in seeds]
    return texts.rename_axis(index=["data set", row], columns=None)


def _bold(text, is_best):
    return f"**{text}**" if is_best else text


def few_labels_table(rows):
    """Test accuracy (%) by number of labelled images of each class, means ± standard deviation over draws."""
    groups = rows.assign(code=rows.code.map(lambda name: "CNN from scratch" if name == "cnn" else label(name)))
    groups = groups.groupby(["dataset", "code", "per_class"], sort=False).accuracy
    texts = (100 * groups.mean()).map("{:.1f}".format)
    texts += (100 * groups.std()).map(" ± {:.1f}".format).where(groups.size() > 1, "")
    return texts.unstack("per_class").rename_axis(index=["data set", "code"], columns=None)
