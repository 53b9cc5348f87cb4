"""Time-to-first-spike code of a leaky integrator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.encoder import Encoder, check_unit
from spikewright.coding.latency import place_spikes
from spikewright.errors import ParameterError


@dataclass(frozen=True)
class LogLatency(Encoder):
    """One spike for each value, when a leaky integrator driven by it would first fire.

    t = tau ln(value / (value - threshold)), to the nearest step (halves to the even one); none
    where value <= threshold or t is after the last step. No gradient to the values.

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
        check_unit(self.where, values)
        active = values.detach() > self.threshold
        drive = values.detach().double()
        # Only an excess above zero enters the logarithm; the mask drops the others.
        excess = torch.where(active, drive - self.threshold, 1.0)
        time = torch.where(active, self.tau / self.dt * torch.log(drive / excess), 0.0)
        return place_spikes(time, active, self.steps).to(values.dtype)
