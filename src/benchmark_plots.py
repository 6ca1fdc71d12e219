"""The figure of the benchmark; it takes the rows that `run/benchmark.py` writes."""

import matplotlib.pyplot as plt

from src.style import COLOURS

PLAIN = COLOURS["prior work"]


def overview(rows, conditions):
    """All parts of the benchmark in one figure: speed, the whole grid, where the time goes, how it grows.

    `rows` has a measurement a row, with `part`, `setting`, `value` and `unit`; `conditions` goes under the title.
    """
    figure, axes = plt.subplots(2, 4, figsize=(16, 7.6))
    parts = dict(list(rows.groupby("part")))
    epoch = parts["epoch"][parts["epoch"].unit == "images a second"]
    _bars(axes[0, 0], epoch.setting, epoch.value, "speed of training", "images a second")
    grid = parts["grid"][parts["grid"].unit == "minutes"]
    _bars(
        axes[0, 1], [name.split(",")[0] for name in grid.setting], grid.value, "the whole grid, extrapolated", "minutes"
    )
    target = parts["time to target"]
    title = "until the prior work's error is reached"
    _bars(axes[0, 2], target.setting, target.value.fillna(0), title, "seconds of one thread (0: not reached)")
    profile = parts["profile"].iloc[::-1]
    peak = rows[rows.setting == "training step, share of the peak"].value.iloc[0]
    title = f"by operator, at {peak:.0f} % of the peak"
    _bars(axes[0, 3], profile.setting, profile.value, title, "share of the time (%)")
    for ax, part in zip(axes[1], ("images", "latent size", "width", "workers"), strict=True):
        group = parts[part]
        ax.plot(group.setting.astype(int), group.value, "o-", color=COLOURS["conv"])
        if part == "latent size":
            ax.set_xscale("log")
        ax.set_xticks(group.setting.astype(int), [f"{int(size):,}" for size in group.setting], rotation=45)
        ax.minorticks_off()
        ax.set_ylim(0)
        ax.set(title=f"time against {part}", xlabel=part, ylabel=group.unit.iloc[0])
    figure.suptitle(f"The benchmark, on {conditions}")
    return figure


def _bars(ax, names, values, title, label):
    colours = [PLAIN if str(name).startswith("plain") else COLOURS["conv"] for name in names]
    ax.barh(list(names), values, color=colours)
    ax.set(title=title, xlabel=label)
