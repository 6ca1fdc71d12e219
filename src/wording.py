"""How sentences and tables write numbers, and the means that they write."""

import numpy as np


def mean_over_seeds(rows, column):
    """Means over seeds by autoencoder and latent size."""
    return rows.groupby(["autoencoder", "latent_dim"])[column].mean()


def spread_over_seeds(rows, column):
    """Standard deviations over seeds, NaN where there is one seed only."""
    return rows.groupby(["autoencoder", "latent_dim"])[column].std()


def with_spread(text, mean, spread):
    """A mean and, where it rests on several seeds, its standard deviation, both as `text` formats them."""
    if np.isnan(spread):
        return text.format(mean)
    number, _, unit = text.partition(" ")
    shown, last_digit = number.format(spread), number.format(0)[:-1] + "1"
    return f"{number.format(mean)} ± {shown if float(shown) else '<' + last_digit} {unit}".rstrip()


def table_by_size(sizes, rows):
    """A Markdown table with a column a latent size; `rows` maps the name of a row to its cells."""
    lines = [f"| | {' | '.join(f'd = {size}' for size in sizes)} |", f"| --- |{' --- |' * len(sizes)}"]
    return "\n".join(lines + [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()])


def latent_sizes(means):
    return sorted(means["conv"].index)


def level(rows, name, reader="accuracy_linear"):
    """A baseline's accuracy where it has one latent size only."""
    return rows[rows.autoencoder == name][reader].mean()


def in_points(values):
    return ", ".join(f"{value:+.1f}" for value in values)


def sample_note(rows):
    return ", on the embedded SAMPLE only" if rows.is_sample.any() else ""


def percent(share):
    return f"{100 * share:.1f} %"


def relative_changes(before, after):
    """The smallest and the largest relative change, signed."""
    changes = [100 * (b / a - 1) for a, b in zip(before, after, strict=True)]
    return f"{min(changes):+.1f} to {max(changes):+.1f} %"


def listed(values):
    return ", ".join(map(str, values))
