"""The window of a surrogate: narrowed while training goes on, and what it lets through."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from torch import nn

from spikewright.engine.activity import Activity, noting
from spikewright.engine.spike import learning_surrogate
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.errors import ParameterError


@dataclass(frozen=True)
class WindowSchedule:
    """A window that is wide at first, so that a net starts to learn that else never would.

    In stage k = 0 ... stages - 1, each of ``steps / stages`` training steps, the half-width is
    start (w / start)^(k / stages), where w is the surrogate's own; after them it is w. Each value
    is compiled into a kernel of its own, so keep the number of stages small.

    Args:
        start: half-width at first, in units of ``v``.
        steps: training steps (batches) before the surrogate's own window is in force.
        stages: how many different values come before it.

    Raises:
        ParameterError: a width is not positive and finite, or a number is below 1.

    >>> from spikewright import surrogate
    >>> schedule, narrow = WindowSchedule(0.8, steps=100), surrogate.SuperSpike(window=0.2)
    >>> [round(schedule.of(narrow, step).window, 6) for step in (0, 49, 50, 99, 100)]
    [0.8, 0.8, 0.4, 0.4, 0.2]
    """

    start: float
    steps: int
    stages: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.start < math.inf:
            raise ParameterError(
                f"WindowSchedule: start must be positive and finite, got {self.start!r}. "
                "Pass start=1.0, say."
            )
        for name in ("steps", "stages"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ParameterError(
                    f"WindowSchedule: {name} must be a whole number from 1, got {value!r}. "
                    "Leave the schedule out to keep one window."
                )

    def of(self, surrogate: SurrogateGradient, step: int) -> SurrogateGradient:
        """``surrogate``, which has a window, with that of a training step, counted from 0."""
        stage, end = step * self.stages // self.steps, surrogate.window
        if stage >= self.stages or end is None:
            return surrogate
        share = stage / self.stages
        return replace(surrogate, window=self.start ** (1 - share) * end**share)


@contextmanager
def acting(network: nn.Module, surrogate: SurrogateGradient | None) -> Iterator[Activity]:
    """Let a rule's surrogate act; where there is a window, note which places are inside.

    Args:
        surrogate: in place of each neuron's own; ``None`` leaves those.
    """
    activity = Activity()
    noted = activity if has_window(network, surrogate) else None
    with learning_surrogate(surrogate), noting(noted):
        yield activity


def has_window(network: nn.Module, surrogate: SurrogateGradient | None) -> bool:
    """Whether any spikes get the derivative of a surrogate with a window."""
    if surrogate is not None:
        return surrogate.window is not None
    own = (getattr(module, "surrogate", None) for module in network.modules())
    return any(isinstance(one, SurrogateGradient) and one.window is not None for one in own)
