"""What the benchmark says, as a figure and in words; both take the rows that `run/benchmark.py` writes."""

from math import isnan

import matplotlib.pyplot as plt

from src.style import COLOURS
from src.wording import listed


def overview(rows, conditions):
    """All parts of the benchmark in one figure: speed, the whole grid, where the time goes, how it grows, what it buys.

    `rows` has a measurement a row, with `part`, `setting`, `value` and `unit`; `conditions` goes under the title.
    """
    figure, axes = plt.subplots(3, 3, figsize=(13, 11))
    axes = axes.flat
    parts = dict(list(rows.groupby("part")))
    epoch = parts["epoch"][parts["epoch"].unit == "images a second"]
    _bars(axes[0], epoch.setting, epoch.value, "speed of training", "images a second")
    grid = parts["grid"][parts["grid"].unit == "minutes"]
    names = [name.split(",")[0] for name in grid.setting]
    _bars(axes[1], names, grid.value, "the whole grid, extrapolated", "minutes")
    target = parts["time to target"]
    title = "until the prior work's error is reached"
    _bars(axes[2], target.setting, target.value.fillna(0), title, "seconds of one thread (0: not reached)")
    profile = parts["profile"].iloc[::-1]
    peak = rows[rows.setting == "training step, share of the peak"].value.iloc[0]
    title = f"by operator, at {peak:.0f} % of the peak"
    _bars(axes[3], profile.setting, profile.value, title, "share of the time (%)")
    for ax, part in zip(axes[4:8], ("images", "latent size", "width", "workers"), strict=True):
        group = parts[part]
        ax.plot(group.setting.astype(int), group.value, "o-", color=COLOURS["conv"])
        if part == "latent size":
            ax.set_xscale("log")
        ax.set_xticks(group.setting.astype(int), [f"{int(size):,}" for size in group.setting], rotation=45)
        ax.minorticks_off()
        ax.set_ylim(0)
        ax.set(title=f"time against {part}", xlabel=part, ylabel=group.unit.iloc[0])
    bought = parts["accuracy for time"]
    axes[8].plot(parts["reader"].value, bought.value, "o-", color=COLOURS["conv"])
    for epochs, seconds, accuracy in zip(bought.setting, parts["reader"].value, bought.value, strict=True):
        axes[8].annotate(f"{epochs}", (seconds, accuracy), (6, -12), textcoords="offset points")
    axes[8].margins(0.5, 0.2)
    axes[8].set(
        title="what the MLP's time buys", xlabel="seconds of one thread; beside: epochs", ylabel=bought.unit.iloc[0]
    )
    figure.suptitle(f"The benchmark, on {conditions}")
    return figure


def _bars(ax, names, values, title, label):
    families = ["prior work" if name.startswith("plain") else "vae" if "vae" in name else "conv" for name in names]
    ax.barh(list(names), values, color=[COLOURS[family] for family in families])
    ax.set(title=title, xlabel=label)


def summary(rows):
    """The benchmark as a Markdown table and a paragraph; `rows` as for `overview`."""
    rows = rows.assign(setting=rows.setting.astype(str))
    epoch = rows[rows.unit.str.startswith("s an epoch") & (rows.part == "epoch")].set_index("setting").value
    value, parts = rows.drop_duplicates("setting").set_index("setting").value, dict(list(rows.groupby("part")))
    ours, theirs = parts["grid"][parts["grid"].unit == "minutes"].value
    target, bought, reader = parts["time to target"], parts["accuracy for time"], parts["reader"]
    peak = 100 * value["training step"] / value["training step, share of the peak"]
    times = ["(not reached)" if isnan(seconds) else f"{seconds:.1f}" for seconds in target.value]
    sizes = target.setting.str.removeprefix("conv ").str.replace("=", " = ")
    largest = parts["grid"].setting.str.extract(r" d=(\d+)$")[0].dropna().astype(int).max()
    return f"""| | plain port, all cores | ours, one core |
| --- | --- | --- |
| convolutional AE, s an epoch of 45,000 images | {epoch["plain conv"]:.1f} | {epoch["ours conv"]:.1f} |
| VAE, s an epoch of 45,000 images | {epoch["plain vae"]:.1f} | {epoch["ours vae"]:.1f} |

The grid of 16 pairs, extrapolated: {theirs:.0f} minutes for the plain port, 20 epochs without classifiers; {ours:.1f} minutes for
ours, linear, neighbour and MLP readers included, two pairs at a time. That is {value["plain port over ours"]:.1f} times as fast, or
{value["ours in epochs of the plain port's conv"]:.0f} of the plain port's convolutional epochs. Until its validation error is that which the prior work reports after
20 epochs, the convolutional autoencoder takes {listed(times)} s of one core at {listed(sizes)}, start included.
A training step reaches {value["training step, share of the peak"]:.0f} % of the {peak:.0f} GFLOP/s that one core reaches in a matrix product; a worker needs
{value["peak of a worker"]:.2f} GiB at its peak with codes of up to {largest} numbers, images that workers share included. An MLP that is trained for {listed(bought.setting)}
epochs takes {listed(f"{seconds:.0f}" for seconds in reader.value)} s of one core and is right in {listed(f"{accuracy:.1f}" for accuracy in bought.value)} % of the validation images, at d = 100 on PCA's code."""
