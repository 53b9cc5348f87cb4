"""Time-to-first-spike code of a leaky integrator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.encoder import Encoder, check_unit
from spikewright.coding.invertible import check_train
from spikewright.coding.latency import first_steps, place_spikes, placed
from spikewright.errors import ParameterError


@dataclass(frozen=True)
class LogLatency(Encoder):
    """One spike for each value, when a leaky integrator driven by it would first fire.

    t = tau ln(value / (value - threshold)), to the nearest step (halves to the even one); none
    where value <= threshold or t is after the last step. No gradient to the values.

    Way back: threshold / (1 - exp(-t / tau)) of the first spike's time, at most 1; silence is 0.

    Args:
        steps: length of the sequence.
        dt: time step, s.
        tau: time constant of the integrator, s.
        threshold: its threshold, in (0, 1).

    Source: the input code of Perez-Nieves and Goodman, NeurIPS 2021, with tau 20 ms.

    >>> encoder = LogLatency(steps=100, dt=1e-3)
    >>> encoder(torch.tensor([[1.0, 0.5, 0.1]]))[:, 0].nonzero().tolist()
    [[4, 0], [10, 1]]
    """

    name: ClassVar[str] = "log_latency"

    tau: float = 20e-3
    threshold: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("tau", "20e-3")
        if not 0 < self.threshold < 1:
            raise ParameterError(
                f"{self.where}: threshold must lie in (0, 1), got {self.threshold!r}. "
                "Pass for example threshold=0.2."
            )

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Place the spikes of a batch, values in [0, 1]; see `Encoder.__call__`."""
        return place_spikes(*self._times(values), self.steps).to(values.dtype)

    @property
    def levels(self) -> Tensor:
        """The values that come back as they are, float64, the least first."""
        steps = torch.arange(self.steps, dtype=torch.float64)
        found = torch.cat([steps.new_zeros(1), self._value(steps)]).unique()
        step = placed(*self._times(found), self.steps)
        return found[self._value(step) == found]

    @property
    def bound(self) -> float:
        """The greatest distance of a value from what comes back."""
        steps = torch.arange(self.steps, dtype=torch.float64)
        value, after = self._value(steps), self._value(steps + 0.5)
        before = self._value((steps - 0.5).clamp(min=0))
        # What fires behind the last step is silent, however large.
        return float(torch.cat([before - value, value - after, after[-1:]]).max())

    def decode(self, spikes: Tensor) -> Tensor:
        """Values, (batch, *features), of spikes (steps, batch, *features), of their dtype.

        Raises:
            ShapeError: another number of steps, or numbers other than 0 and 1.
        """
        check_train(self.where, spikes, self.steps)
        return self._value(first_steps(spikes)).to(spikes.dtype)

    def _times(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """When each value spikes, in steps, and whether it does."""
        check_unit(self.where, values)
        active = values.detach() > self.threshold
        drive = values.detach().double()
        # Only an excess above zero enters the logarithm; the mask drops the others.
        excess = torch.where(active, drive - self.threshold, 1.0)
        return torch.where(active, self.tau / self.dt * torch.log(drive / excess), 0.0), active

    def _value(self, step: Tensor) -> Tensor:
        """What a spike at each step stands for; 0 at infinity."""
        value = (self.threshold / -torch.expm1(-step * (self.dt / self.tau))).clamp(max=1)
        return torch.where(step.isfinite(), value, 0.0)
