"""Time-to-first-spike code, linear."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.encoder import Encoder, check_unit
from spikewright.errors import ParameterError


@dataclass(frozen=True)
class Latency(Encoder):
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

    time_of_one: float = 0.0
    time_of_zero: float | None = None
    threshold: float | None = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        last = (self.steps - 1) * self.dt
        for field in ("time_of_one", "time_of_zero"):
            time = getattr(self, field)
            # Half a step of room: the time is rounded to its nearest step.
            if time is not None and not (time >= 0 and time / self.dt < self.steps - 0.5):
                raise ParameterError(
                    f"{self.where}: {field} must lie between 0 and {last:.6g} s, the last step, "
                    f"got {time!r}. Change it, or use more steps."
                )
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise ParameterError(
                f"{self.where}: threshold must lie in [0, 1) or be None, got {self.threshold!r}. "
                "Pass threshold=None to let every value spike."
            )

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Place the spikes of a batch, values in [0, 1]; see `Encoder.__call__`."""
        check_unit(self.where, values)
        late = (self.steps - 1) * self.dt if self.time_of_zero is None else self.time_of_zero
        start, end = late / self.dt, self.time_of_one / self.dt
        time = start + values.detach().double() * (end - start)
        silent = -math.inf if self.threshold is None else self.threshold
        return place_spikes(time, values.detach() > silent, self.steps).to(values.dtype)


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
