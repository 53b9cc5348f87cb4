"""Time-to-first-spike code, linear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.invertible import check_train
from spikewright.coding.linear_time import LinearTime
from spikewright.errors import ParameterError


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
        found = torch.cat([steps.new_zeros(1), self._value(steps)]).unique()
        time, active = self.place(found, self.dt)
        step = time.round()
        back = torch.where(active & (step < self.steps), self._value(step), 0.0)
        return found[back == found]

    @property
    def bound(self) -> float:
        """The greatest distance of a value from what comes back."""
        start, end = self._apart()
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
        fired = spikes.detach() > 0
        first = fired.to(torch.uint8).argmax(0).double()
        return torch.where(fired.any(0), self._value(first), 0.0).to(spikes.dtype)

    def _value(self, step: Tensor) -> Tensor:
        """What a spike at each step stands for."""
        start, end = self._apart()
        return ((start - step) / (start - end)).clamp(0, 1)

    def _apart(self) -> tuple[float, float]:
        """Times of value 0 and of value 1, in steps."""
        start, end = self.ends(self.dt)
        if start == end:
            raise ParameterError(
                f"{self.where}: time_of_zero and time_of_one must differ for a way back, got "
                f"{start * self.dt!r} for both. Use more steps, or time_of_zero=steps * dt."
            )
        return start, end


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
