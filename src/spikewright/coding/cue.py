"""A cue after a signal: the time to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.coding.encoder import Encoder, check_floating
from spikewright.errors import ShapeError


@dataclass(frozen=True)
class Cue(Encoder):
    """One more input, silent while the signal lasts and on from its end: the time to answer.

    Args:
        steps: length of the sequence, the cue included.
        dt: time step, s.

    >>> Cue(steps=3, dt=1e-3)(torch.full((2, 1, 1), 0.5)).tolist()
    [[[0.5, 0.0]], [[0.5, 0.0]], [[0.0, 1.0]]]
    """

    name: ClassVar[str] = "cue"

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Add the cue to a signal.

        Args:
            values: (time, batch, features), of at most ``steps`` steps.
            generator: not drawn from.

        Returns:
            (steps, batch, features + 1): zeros after the signal, and the cue as last feature.

        Raises:
            ShapeError: a signal that is too long, or of another shape or dtype.
        """
        check_floating(self.where, values)
        if values.ndim != 3 or len(values) > self.steps:
            raise ShapeError(
                f"{self.where}: the signal must be (time, batch, features) with at most "
                f"{self.steps} steps, got {tuple(values.shape)}. Give the cue more steps."
            )
        length = len(values)
        cued = functional.pad(values, (0, 1, 0, 0, 0, self.steps - length))
        cued[length:, :, -1] = 1.0
        return cued
