"""Bernoulli rate code."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.encoder import check_unit
from spikewright.coding.rate import RateEncoder, draw_device


@dataclass(frozen=True)
class Bernoulli(RateEncoder):
    """A spike at each step with probability value * max_rate * dt, independently.

    At most one spike a step, so max_rate * dt is at most 1. No gradient to the values.

    Way back: count / (steps p), with p = max_rate * dt, has the value x as its mean and
    sqrt(x (1 / p - x) / steps) as its root-mean-square error. Only 0, and 1 where p = 1, return
    for certain: of x <= 1 none has a greater one than ``rms_bound``.

    Args:
        steps: length of the sequence.
        dt: time step, s.
        max_rate: rate at value 1, Hz; ``None`` means 1 / dt, so that the value is the probability.

    >>> encoder = Bernoulli(steps=1000, dt=1e-3, max_rate=500.0)
    >>> spikes = encoder(torch.tensor([[0.0, 1.0]]), torch.Generator().manual_seed(1))
    >>> spikes.mean(0).round(decimals=1).tolist()
    [[0.0, 0.5]]
    """

    name: ClassVar[str] = "bernoulli"

    @property
    def rms_bound(self) -> float:
        """The greatest root-mean-square error of a value, over draws."""
        worst = min(1.0, 0.5 / self.peak)
        return math.sqrt(worst * (1 / self.peak - worst) / self.steps)

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw the spikes of a batch, values in [0, 1]; see `Encoder.__call__`."""
        check_unit(self.where, values)
        # Half precision has too few steps between 0 and 1 to draw in.
        dtype = torch.promote_types(values.dtype, torch.float32)
        draws = torch.rand(
            (self.steps, *values.shape),
            generator=generator,
            dtype=dtype,
            device=draw_device(values, generator),
        )
        probability = values.detach().to(dtype) * self.peak
        return (draws.to(values.device) < probability).to(values.dtype)
