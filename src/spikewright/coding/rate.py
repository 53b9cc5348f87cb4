"""What the three rate codes share: a rate in Hz that value 1 stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.encoder import Encoder
from spikewright.coding.invertible import check_train
from spikewright.errors import ParameterError


@dataclass(frozen=True)
class RateEncoder(Encoder):
    """A rate code: value 1 stands for ``max_rate`` spikes a second, value 0 for none.

    Args:
        steps: length of the sequence.
        dt: time step, s.
        max_rate: rate at value 1, Hz; ``None`` means 1 / dt, one spike a step.

    Raises:
        ParameterError: a rate that is not positive, or more than one spike a step where the
            code cannot hold it.
    """

    several: ClassVar[bool] = False
    """Whether one step may hold several spikes."""

    max_rate: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_rate is None:
            return
        self.check_positive("max_rate", "100.0")
        # A rate of exactly 1 / dt may come out one rounding above 1.
        if not self.several and self.max_rate * self.dt > 1 + 1e-9:
            raise ParameterError(
                f"{self.where}: max_rate must be at most 1 / dt = {1 / self.dt:.6g} Hz, got "
                f"{self.max_rate:.6g}. Lower max_rate or dt, or use Poisson, which may put "
                "several spikes into a step."
            )

    def decode(self, spikes: Tensor) -> Tensor:
        """Values that the rates stand for: count / (steps * max_rate * dt), of the spikes' dtype.

        Of a random code it is the unbiased estimate, which passes 1 where max_rate is below 1 / dt
        and more spikes came than value 1 has on average.

        Args:
            spikes: (steps, batch, *features).

        Returns:
            (batch, *features).

        Raises:
            ShapeError: another number of steps, or what is no number of spikes.
        """
        return (self._counts(spikes) / (self.steps * self.peak)).to(spikes.dtype)

    def _counts(self, spikes: Tensor) -> Tensor:
        """Spikes of each value, (batch, *features) float64: half precision cannot count far."""
        check_train(self.where, spikes, self.steps, several=self.several)
        return spikes.detach().sum(0, dtype=torch.float64)

    @property
    def peak(self) -> float:
        """Mean number of spikes a step at value 1."""
        if self.max_rate is None:
            return 1.0
        peak = self.max_rate * self.dt
        return peak if self.several else min(peak, 1.0)


def draw_device(values: Tensor, generator: torch.Generator | None) -> torch.device:
    """Where to draw: on the generator's device, so that a CPU generator serves every device."""
    return values.device if generator is None else generator.device
