"""Constant current."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.encoder import Encoder, check_finite, check_floating


@dataclass(frozen=True)
class Constant(Encoder):
    """The value itself at every step, as a current; the first layer makes the spikes.

    x[t] = gain * value.  Values may be any finite number. Differentiable.

    Args:
        steps: length of the sequence.
        dt: time step, s.
        gain: current at value 1, A.

    >>> Constant(steps=2, dt=1e-3, gain=2.0)(torch.tensor([[0.5, 1.0]])).tolist()
    [[[1.0, 2.0]], [[1.0, 2.0]]]
    """

    name: ClassVar[str] = "constant"

    gain: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("gain", "1.0")

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Repeat the values; the result is a view with stride 0 in time, not to be written to."""
        check_floating(self.where, values)
        check_finite(self.where, values)
        current = values if self.gain == 1.0 else values * self.gain
        return current.expand(self.steps, *current.shape)
