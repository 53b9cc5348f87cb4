"""What is wrong with a layer, in the same words whichever rule finds it; the cure is the rule's."""

from __future__ import annotations


def silent(layer: str, cure: str, so: str = "") -> str:
    """A layer whose neurons do not spike.

    >>> silent("1_lif", "lower v_threshold", ", so nothing passes")
    "layer '1_lif' is silent, so nothing passes: lower v_threshold."
    """
    return f"layer {layer!r} is silent{so}: {cure}."


def never_fire(layer: str, share: float, cure: str, so: str = "") -> str:
    """A layer, a share of whose neurons have no spike.

    >>> never_fire("1_lif", 0.75, "raise the weights")
    "layer '1_lif': 75% of its neurons never fire: raise the weights."
    """
    return f"layer {layer!r}: {share:.0%} of its neurons never fire{so}: {cure}."


def saturated(layer: str, rate: float, cure: str, so: str = "") -> str:
    """A layer that fires so often, in spikes a step, that more input changes little.

    >>> saturated("1_lif", 0.9, "lower the weights")
    "layer '1_lif' is saturated (0.90 spikes a step): lower the weights."
    """
    return f"layer {layer!r} is saturated ({rate:.2f} spikes a step){so}: {cure}."


def no_gradient(layer: str) -> str:
    """A layer whose input weights have a gradient of zero."""
    return f"layer {layer!r}: no gradient reaches its input weights: check what follows it."
