"""What happens to state and weights between two samples of an online run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright.neurons.extras import NoiseState

Carry = tuple[str, ...] | Literal["all"]


def fields_of(state: Any) -> Iterable[str]:
    """Names of all fields of a layer's state."""
    for name in getattr(state, "_fields", ()):
        yield name
        yield from fields_of(getattr(state, name))


def draws(state: Any) -> bool:
    """Whether neurons with random numbers of their own are among those of a state."""
    return any(map(_is_random, pytree.tree_leaves(state, is_leaf=_is_random)))


def of_samples(state: Any, numbers: Sequence[int]) -> Any:
    """The state of one sample as that of so many, each with a random stream of its own."""

    def spread(part: Any) -> Any:
        if _is_random(part):
            inner = of_samples(part.neuron, numbers)
            clock = part.clock.expand(len(numbers))
            return NoiseState(inner, part.sample + torch.tensor(numbers), clock)
        return part.expand(len(numbers), *part.shape[1:])

    return pytree.tree_map(spread, state, is_leaf=_is_random)


def _is_random(part: Any) -> bool:
    return isinstance(part, NoiseState)


def normalise(weights: Tensor, total: float | None, bounds: tuple[float, float]) -> None:
    """Scale the input weights of each neuron to a sum, in place, and clip them to their bounds.

    Args:
        weights: (inputs, outputs).
        total: sum of a neuron's input weights after it, bounds allowing; ``None`` only clips. A
            sum that is not positive, or so small that no number scales it, stays as it is.
        bounds: least and greatest weight.

    >>> weights = torch.tensor([[0.25, 0.0], [0.75, 0.0]])
    >>> normalise(weights, 0.5, (0.0, 1.0))
    >>> weights.tolist()
    [[0.125, 0.0], [0.375, 0.0]]
    """
    if total is not None:
        factors = total / weights.sum(0)
        weights *= torch.where((factors > 0) & factors.isfinite(), factors, 1.0)
    weights.clamp_(*bounds)
