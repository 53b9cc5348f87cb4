"""Time-to-first-spike code, linear, at exact times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.linear_time import LinearTime
from spikewright.coding.spike_times import SpikeTimes
from spikewright.errors import ShapeError


@dataclass(frozen=True)
class ExactLatency(LinearTime):
    """One spike for each value, at a time that is linear in the value and not rounded.

    t = time_of_zero + value * (time_of_one - time_of_zero). By default the largest value is the
    first. No gradient to the values.

    Way back: the value of the first spike's time; silence is 0. It differs from the value by
    rounding, or by at most the threshold where that kept it silent.

    Args:
        steps: length of the trial, in steps.
        dt: time step, s; the trial takes ``steps * dt`` seconds, its last instant included.
        time_of_one: spike time of value 1, s.
        time_of_zero: spike time that value 0 tends to, s; ``None`` means the trial's end.
        threshold: values up to and with this one give no spike; ``None``: every value spikes.

    >>> encoder = ExactLatency(steps=5, dt=1e-3)
    >>> spikes = encoder(torch.tensor([[0.3, 1.0, 0.0]], dtype=torch.float64))
    >>> spikes.times.tolist(), spikes.units.tolist(), spikes.duration
    ([0.0, 0.0035], [1, 0], 0.005)
    """

    name: ClassVar[str] = "exact_latency"

    @property
    def latest(self) -> float:
        """The end of the trial, s."""
        return self.steps * self.dt

    @property
    def latest_is(self) -> str:
        return "the trial's end"

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> SpikeTimes:
        """Time the spikes of a batch.

        Args:
            values: (batch, *features) in [0, 1].
            generator: not drawn from.

        Returns:
            the spikes, of feature shape ``values.shape[1:]``.

        Raises:
            ShapeError: values of another dtype, not finite, or outside of [0, 1].
        """
        times, active = self.place(values)
        # Rounding may carry the last one past the end.
        first = torch.where(active, times.clamp(0.0, self.latest), torch.inf)
        return SpikeTimes.from_first(first, self.latest)

    def decode(self, spikes: SpikeTimes) -> Tensor:
        """Values, (batch, *features) float64, of the spikes of a batch.

        Raises:
            ShapeError: a trial of another length.
            ParameterError: a code whose values all spike at one time.
        """
        if not math.isclose(spikes.duration, self.latest):
            raise ShapeError(
                f"{self.where}: spikes must be of a trial of {self.latest:.6g} s, got "
                f"{spikes.duration:.6g} s. Decode with the steps that they were encoded with."
            )
        return self.value_at(spikes.first())
