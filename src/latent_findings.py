"""What the looks into the code say, in words; each sentence is computed from what its figure shows."""

import numpy as np

from src.wording import percent


def samples(sharpness):
    """How sharp decoded samples are; `sharpness` maps "originals", "reconstructions" and "samples" to its value."""
    shares = {name: percent(value / sharpness["originals"]) for name, value in sharpness.items()}
    return (
        f"Neighbouring pixels of the reconstructions differ by {shares['reconstructions']} of what those of the originals "
        f"do, of the samples by {shares['samples']}: what the code leaves out is fine detail, and a sample has "
        f"{'no more of it' if sharpness['samples'] <= sharpness['reconstructions'] else 'more of it than a reconstruction'}."
    )


def interpolations(ends, middle, fade):
    """The sharpness of the pictures halfway, beside that of the ends and of a cross-fade of the ends' pixels."""
    return (
        f"Halfway the decoded pictures have {percent(middle / ends)} of the sharpness of their ends, a cross-fade of the "
        f"pixels {percent(fade / ends)}: the path through the code is "
        f"{'hardly more than' if abs(middle / fade - 1) < 0.1 else 'other than'} a cross-fade."
    )


def traversals(changes):
    """How unequal the units are; `changes` is the squared change of the image for every unit."""
    order = np.sort(changes)[::-1]
    half = int(np.searchsorted(order.cumsum(), order.sum() / 2)) + 1
    return (
        f"Half of all the change that single units can make comes from {half} of {len(changes)} units; the strongest "
        f"changes the image {order[0] / np.median(order):.0f} times as much as the median one."
    )


def neighbours(shares):
    """How often the nearest training image has the class of the test image; `shares` maps a way of measuring to it."""
    text = ", ".join(f"{percent(share)} ({label})" for label, share in shares.items())
    best = max(shares, key=shares.get)
    return f"The nearest training image has the test image's class in {text} of the cases, most often by: {best}."


def latent_map(on_map, in_code, chance):
    """How much of the class the map shows; shares of the ten nearest points that have a point's class."""
    return (
        f"Of the ten nearest points on the map {percent(on_map)} have the class of the point, in the code itself "
        f"{percent(in_code)}, by chance {percent(chance)}: classes overlap, and the map "
        f"{'loses' if on_map < in_code else 'shows'} the neighbourhoods of the code."
    )
