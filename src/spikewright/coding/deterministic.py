"""Deterministic rate code."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.encoder import check_unit
from spikewright.coding.rate import RateEncoder
from spikewright.errors import ParameterError


@dataclass(frozen=True)
class Deterministic(RateEncoder):
    """Evenly spaced spikes: accumulate the rate and fire at every whole number.

    n[t] = floor(phase + value * max_rate * dt * (t + 1)) spikes up to and with step t. With the
    default phase of 1/2 the count in any run-up is the nearest whole number to its mean. At most
    one spike a step. No gradient to the values.

    Way back: a count n stands for (n + 1/2 - phase) / (steps * max_rate * dt), the middle of the
    values that give it, cut to [0, 1]: at most half a spike's worth from the value.

    Args:
        steps: length of the sequence.
        dt: time step, s.
        max_rate: rate at value 1, Hz; ``None`` means 1 / dt, a spike at every step.
        phase: where the accumulator starts, in [0, 1), spikes.

    >>> encoder = Deterministic(steps=8, dt=1e-3)
    >>> encoder(torch.tensor([[0.25]])).flatten().tolist()
    [0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    >>> encoder.decode(encoder(torch.tensor([[0.25, 0.3, 1.0]]))).tolist()
    [[0.25, 0.25, 1.0]]
    """

    name: ClassVar[str] = "deterministic"

    phase: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.phase < 1:
            raise ParameterError(
                f"{self.where}: phase must lie in [0, 1), got {self.phase!r}. "
                "Leave it at 0.5 for the count nearest to the rate."
            )

    @property
    def levels(self) -> Tensor:
        """The values that come back as they are, float64, the least first; one for each count."""
        most = math.floor(self.phase + self.steps * self.peak)
        return self._value(torch.arange(most + 1, dtype=torch.float64))

    @property
    def bound(self) -> float:
        """The greatest distance of a value from what comes back."""
        return 0.5 / (self.steps * self.peak)

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Lay out the spikes of a batch, values in [0, 1]; see `Encoder.__call__`."""
        check_unit(self.where, values)
        # In float64, or the product of a long run would round across whole numbers.
        rate = values.detach().double() * self.peak
        elapsed = torch.arange(self.steps + 1, dtype=torch.float64, device=values.device)
        elapsed = elapsed.reshape(-1, *[1] * values.ndim)
        return torch.floor(self.phase + rate * elapsed).diff(dim=0).to(values.dtype)

    def decode(self, spikes: Tensor) -> Tensor:
        """Values, (batch, *features), of spikes (steps, batch, *features), of their dtype.

        Raises:
            ShapeError: another number of steps, or numbers other than 0 and 1.
        """
        return self._value(self._counts(spikes)).to(spikes.dtype)

    def _value(self, count: Tensor) -> Tensor:
        return ((count + 0.5 - self.phase) / (self.steps * self.peak)).clamp(0, 1)
