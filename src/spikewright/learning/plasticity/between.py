"""What happens to state and weights between two samples of an online run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor

Carry = tuple[str, ...] | Literal["all"]


def fields_of(state: Any) -> Iterable[str]:
    """Names of all fields of a layer's state."""
    for name in getattr(state, "_fields", ()):
        yield name
        yield from fields_of(getattr(state, name))


def normalise(weights: Tensor, total: float | None, bounds: tuple[float, float]) -> None:
    """Scale the input weights of each neuron to a sum, in place, and clip them to their bounds.

    Args:
        weights: (inputs, outputs).
        total: sum of a neuron's input weights after it, bounds allowing; ``None`` only clips. A
            sum that is not positive stays as it is.
        bounds: least and greatest weight.

    >>> weights = torch.tensor([[0.25, 0.0], [0.75, 0.0]])
    >>> normalise(weights, 0.5, (0.0, 1.0))
    >>> weights.tolist()
    [[0.125, 0.0], [0.375, 0.0]]
    """
    if total is not None:
        sums = weights.sum(0)
        weights *= torch.where(sums > 0, total / sums, 1.0)
    weights.clamp_(*bounds)
