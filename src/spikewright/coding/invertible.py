"""What a code with a way back is: levels that return exactly, and a bound for all other values."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from spikewright.errors import ShapeError


class Invertible(Protocol):
    """An encoder of values in [0, 1] that can turn its spikes into values again.

    ``decode(encode(x)) == x`` for each of its ``levels`` x, to the last bit of their dtype, and
    differs from x by at most ``bound`` for all other x in [0, 1], which some x attain.
    """

    @property
    def steps(self) -> int:
        """Length of the sequence."""
        ...

    @property
    def levels(self) -> Tensor:
        """The values that come back as they are, (levels,) float64, the least first."""
        ...

    @property
    def bound(self) -> float:
        """The greatest distance of a value from what comes back."""
        ...

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Spikes, (steps, batch, *features), of values (batch, *features)."""
        ...

    def decode(self, spikes: Tensor) -> Tensor:
        """Values, (batch, *features), of spikes (steps, batch, *features), of their dtype."""
        ...


def check_train(where: str, spikes: Tensor, steps: int, *, several: bool = False) -> None:
    """Raise ShapeError unless ``spikes`` is a sequence of ``steps`` steps of 0 and 1.

    Args:
        where: who asks.
        spikes: (steps, batch, *features), floating-point.
        steps: how many there must be.
        several: whether a step may hold more than one spike.
    """
    if not isinstance(spikes, Tensor) or not spikes.dtype.is_floating_point:
        got = spikes.dtype if isinstance(spikes, Tensor) else type(spikes).__name__
        raise ShapeError(
            f"{where}: spikes must be a tensor of floating-point numbers, got {got}. "
            "Convert them with spikes.float()."
        )
    if spikes.ndim < 2 or len(spikes) != steps:
        raise ShapeError(
            f"{where}: spikes must be (time, batch, *features) with {steps} steps, got "
            f"{tuple(spikes.shape)}. Decode with the steps that they were encoded with."
        )
    seen = spikes.detach()
    right = (seen >= 0) & (seen == seen.floor()) & seen.isfinite() & (several | (seen <= 1))
    bad = int((~right).sum())
    if bad:
        raise ShapeError(
            f"{where}: spikes must be {'whole numbers' if several else '0 or 1'}, got others in "
            f"{bad:,} of {seen.numel():,} places. Decode spikes, not currents or membranes."
        )
