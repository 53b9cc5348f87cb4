"""Poisson rate code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.encoder import check_unit
from spikewright.coding.rate import RateEncoder, draw_device


@dataclass(frozen=True)
class Poisson(RateEncoder):
    """The spike counts of a Poisson process of rate value * max_rate, for each step.

    A step may hold several spikes; `Bernoulli` is its limit for max_rate * dt << 1.
    No gradient to the values.

    Args:
        steps: length of the sequence.
        dt: time step, s.
        max_rate: rate at value 1, Hz; ``None`` means 1 / dt, a mean of one spike a step.

    >>> encoder = Poisson(steps=1000, dt=1e-3, max_rate=2000.0)
    >>> counts = encoder(torch.tensor([[0.0, 1.0]]), torch.Generator().manual_seed(1))
    >>> counts.mean(0).round(decimals=1).tolist()
    [[0.0, 2.0]]
    """

    name: ClassVar[str] = "poisson"
    several: ClassVar[bool] = True

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw the counts of a batch, values in [0, 1]; see `Encoder.__call__`."""
        check_unit(self.where, values)
        dtype = torch.promote_types(values.dtype, torch.float32)
        mean = values.detach().to(draw_device(values, generator), dtype) * self.peak
        counts = torch.poisson(mean.expand(self.steps, *mean.shape), generator=generator)
        return counts.to(values.device, values.dtype)
