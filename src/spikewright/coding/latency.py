"""Time-to-first-spike code, linear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.invertible import check_train
from spikewright.coding.linear_time import LinearTime


@dataclass(frozen=True)
class Latency(LinearTime):
    """One spike for each value, at a time that is linear in the value.

    t = time_of_zero + value * (time_of_one - time_of_zero), to the nearest step (halves to the
    even one). By default the largest value is the first. No gradient to the values.

    Way back: the value of the first spike's time, cut to [0, 1]; silence is 0. It differs from
    the value by at most half of dt / |time_of_one - time_of_zero|, or by the threshold if that is
    more. T steps hold T levels by default, and T + 1 with ``time_of_zero = steps * dt``, where
    what comes nearest to the end, and with it 0, is silent.

    Args:
        steps: length of the sequence.
        dt: time step, s.
        time_of_one: spike time of value 1, s.
        time_of_zero: spike time that value 0 tends to, s; ``None`` means the last step.
        threshold: values up to and with this one give no spike; ``None``: every value spikes.

    >>> encoder = Latency(steps=5, dt=1e-3)
    >>> encoder(torch.tensor([[1.0, 0.5, 0.0]]))[:, 0].nonzero().tolist()
    [[0, 0], [2, 1]]
    >>> silent_zero = Latency(steps=2, dt=1e-3, time_of_zero=2e-3)
    >>> silent_zero.decode(silent_zero(torch.tensor([[1.0, 0.6, 0.1]]))).tolist()
    [[1.0, 0.5, 0.0]]
    """

    name: ClassVar[str] = "latency"

    @property
    def latest(self) -> float:
        """The last step, s."""
        return (self.steps - 1) * self.dt

    @property
    def latest_is(self) -> str:
        return "the last step"

    def _latest_of(self, field: str) -> tuple[float, str]:
        # Who lets values be silent may have the spike of value 0 fall behind the last step.
        if field == "time_of_zero" and self.threshold is not None:
            return self.steps * self.dt, "the end"
        return super()._latest_of(field)

    def _fits(self, time: float, latest: float) -> bool:
        # Half a step of room: the time is rounded to its nearest step.
        return super()._fits(time, latest) or time / self.dt < self.steps - 0.5

    @property
    def levels(self) -> Tensor:
        """The values that come back as they are, float64, the least first.

        Raises:
            ParameterError: a code whose values all spike at one time.
        """
        steps = torch.arange(self.steps, dtype=torch.float64)
        found = torch.cat([steps.new_zeros(1), self.value_at(steps, self.dt)]).unique()
        time, active = self.place(found, self.dt)
        step = placed(time, active, self.steps)
        return found[self.value_at(step, self.dt) == found]

    @property
    def bound(self) -> float:
        """The greatest distance of a value from what comes back."""
        start, end = self.apart(self.dt)
        return max(0.5 / abs(start - end), self.threshold or 0.0)

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Place the spikes of a batch, values in [0, 1]; see `Encoder.__call__`."""
        time, active = self.place(values, self.dt)
        return place_spikes(time, active, self.steps).to(values.dtype)

    def decode(self, spikes: Tensor) -> Tensor:
        """Values, (batch, *features), of spikes (steps, batch, *features), of their dtype.

        Raises:
            ShapeError: another number of steps, or numbers other than 0 and 1.
            ParameterError: a code whose values all spike at one time.
        """
        check_train(self.where, spikes, self.steps)
        return self.value_at(first_steps(spikes), self.dt).to(spikes.dtype)


def place_spikes(time: Tensor, active: Tensor, steps: int) -> Tensor:
    """One spike at the step nearest to each time, none where inactive or after the end.

    Args:
        time: (batch, *features), steps.
        active: (batch, *features), bool.
        steps: length of the sequence.

    Returns:
        (steps, batch, *features), bool.
    """
    step = placed(time, active, steps)
    index = torch.where(step.isfinite(), step, 0.0).long()
    spikes = torch.zeros((steps, *time.shape), dtype=torch.bool, device=time.device)
    return spikes.scatter_(0, index[None], step.isfinite()[None])


def placed(time: Tensor, active: Tensor, steps: int) -> Tensor:
    """The step nearest to each time, infinity where inactive or after the end."""
    step = time.round()
    return torch.where(active & (step >= 0) & (step < steps), step, torch.inf)


def first_steps(spikes: Tensor) -> Tensor:
    """The first step with a spike, (batch, *features) float64, infinity where there is none."""
    fired = spikes.detach() > 0
    return torch.where(fired.any(0), fired.to(torch.uint8).argmax(0).double(), torch.inf)
