"""Time-to-first-spike code, linear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.linear_time import LinearTime


@dataclass(frozen=True)
class Latency(LinearTime):
    """One spike for each value, at a time that is linear in the value.

    t = time_of_zero + value * (time_of_one - time_of_zero), to the nearest step (halves to the
    even one). By default the largest value is the first. No gradient to the values.

    Args:
        steps: length of the sequence.
        dt: time step, s.
        time_of_one: spike time of value 1, s.
        time_of_zero: spike time that value 0 tends to, s; ``None`` means the last step.
        threshold: values up to and with this one give no spike; ``None``: every value spikes.

    >>> encoder = Latency(steps=5, dt=1e-3)
    >>> encoder(torch.tensor([[1.0, 0.5, 0.0]]))[:, 0].nonzero().tolist()
    [[0, 0], [2, 1]]
    """

    name: ClassVar[str] = "latency"

    @property
    def latest(self) -> float:
        """The last step, s."""
        return (self.steps - 1) * self.dt

    @property
    def latest_is(self) -> str:
        return "the last step"

    def _fits(self, time: float) -> bool:
        # Half a step of room: the time is rounded to its nearest step.
        return time / self.dt < self.steps - 0.5

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Place the spikes of a batch, values in [0, 1]; see `Encoder.__call__`."""
        time, active = self.place(values, self.dt)
        return place_spikes(time, active, self.steps).to(values.dtype)


def place_spikes(time: Tensor, active: Tensor, steps: int) -> Tensor:
    """One spike at the step nearest to each time, none where inactive or after the end.

    Args:
        time: (batch, *features), steps.
        active: (batch, *features), bool.
        steps: length of the sequence.

    Returns:
        (steps, batch, *features), bool.
    """
    step = time.round()
    active = active & (step >= 0) & (step < steps)
    index = torch.where(active, step, 0.0).long()
    spikes = torch.zeros((steps, *time.shape), dtype=torch.bool, device=time.device)
    return spikes.scatter_(0, index[None], active[None])
