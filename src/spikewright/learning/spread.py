"""The Gaussian around learnable delays: narrowed while training goes on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from spikewright.connections.delayed import Delayed
from spikewright.errors import ParameterError


@dataclass(frozen=True)
class SpreadSchedule:
    """A spread that is wide at first, so that a delay feels spikes far from where it is.

    At training step n (a batch, counted from 0) all delays that have a spread act with the
    standard deviation start (end / start)^(n / steps), from step ``steps`` on with ``end``.

    Hammouamri et al. 2024, see `spikewright.DelayedLinear`, go from half the longest delay to 0.5
    steps in the first quarter of the training (from memory).

    Args:
        start: standard deviation at first, in time steps.
        steps: training steps (batches) in which it narrows.
        end: standard deviation after them, in time steps.

    Raises:
        ParameterError: a standard deviation is not positive and finite, or ``steps`` is below 1.

    >>> schedule = SpreadSchedule(8.0, steps=100)
    >>> [schedule.at(step) for step in (0, 50, 100, 150)]
    [8.0, 2.0, 0.5, 0.5]
    """

    start: float
    steps: int
    end: float = 0.5

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            if not 0 < getattr(self, name) < math.inf:
                raise ParameterError(
                    f"SpreadSchedule: {name} must be a positive number of steps, got "
                    f"{getattr(self, name)!r}. Pass for example {name}=0.5."
                )
        if not isinstance(self.steps, int) or self.steps < 1:
            raise ParameterError(
                f"SpreadSchedule: steps must be a whole number from 1, got {self.steps!r}. "
                "Leave the schedule out to keep one spread."
            )

    def at(self, step: int) -> float:
        """The standard deviation at a training step, counted from 0."""
        return self.start * (self.end / self.start) ** min(1.0, step / self.steps)


def spread_layers(network: nn.Module) -> list[Delayed]:
    """The layers of delays that have a spread."""
    layers = (module for module in network.modules() if isinstance(module, Delayed))
    return [layer for layer in layers if layer.spread is not None]


@contextmanager
def spreading(network: nn.Module, schedule: SpreadSchedule | None, step: int) -> Iterator[None]:
    """Let the spread of a training step act; ``None`` leaves that of the layers."""
    layers = [] if schedule is None else spread_layers(network)
    before = [layer.spread for layer in layers]
    for layer in layers:
        layer.spread = schedule.at(step) if schedule is not None else layer.spread
    try:
        yield
    finally:
        for layer, spread in zip(layers, before, strict=True):
            layer.spread = spread
