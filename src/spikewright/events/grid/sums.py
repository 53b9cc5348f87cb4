"""Gradients summed over the batch in an order that no number of threads changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.events.current import Current

Array = np.ndarray[Any, Any]
PARTS = 8
"""Of the batch at most, each with sums of its own, which are added up in their order."""
_SHARE = 4
"""Sums cost about as much as one in this many additions to each of their elements."""


def parts_of(current: Current) -> int:
    """How many parts the sums over a batch are made of: fewer where it adds little to them."""
    synapses = current.synapses
    added = len(current.times) * synapses.neurons // (_SHARE * max(1, synapses.weight.numel()))
    return max(1, min(PARTS, current.batch, added))


def weight_gradient(sums: Array, weight: Tensor | None, needed: bool) -> Tensor | None:
    """The gradient of a tensor whose elements the parts (parts, elements) hold in a row."""
    if weight is None or not needed:
        return None
    return torch.from_numpy(sums.sum(axis=0)).view(weight.shape)


def parameter_gradients(
    sums: Array, parameters: tuple[Tensor | None, ...], needed: tuple[bool, ...]
) -> list[Tensor | None]:
    """From (parts, parameters, neurons) to the shape of each parameter."""
    total = torch.from_numpy(sums.sum(axis=0))
    return [
        total[k].sum_to_size(p.shape) if n and p is not None else None
        for k, (p, n) in enumerate(zip(parameters, needed, strict=True))
    ]
