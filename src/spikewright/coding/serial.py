"""Serial code: values one after another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.encoder import Encoder, check_finite, check_floating
from spikewright.errors import ParameterError, ShapeError


@dataclass(frozen=True)
class Serial(Encoder):
    """The values of a sample one after another, ``width`` at a time, as currents.

    x[t] = values[width k : width (k + 1)] with k = floor(t / repeat): an image of 28 x 28 pixels
    row by row with ``width=28``, pixel by pixel with ``width=1``.  Any finite values.
    Differentiable.

    Args:
        steps: length of the sequence: repeat times the groups of values.
        dt: time step, s.
        width: values at a time.
        repeat: steps that each group lasts.

    >>> Serial(4, 1e-3, width=2, repeat=2)(torch.arange(4.0)[None]).tolist()
    [[[0.0, 1.0]], [[0.0, 1.0]], [[2.0, 3.0]], [[2.0, 3.0]]]
    """

    name: ClassVar[str] = "serial"

    width: int = 1
    repeat: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("width", "repeat"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ParameterError(
                    f"{self.where}: {field} must be a positive integer, got {value!r}. "
                    f"Pass for example {field}=1."
                )

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Lay out values, (batch, *features) with width * steps / repeat features in all.

        Returns:
            (steps, batch, width), groups in row-major order.

        Raises:
            ShapeError: another number of features or dtype, or values that are not finite.
        """
        check_floating(self.where, values)
        check_finite(self.where, values)
        count = math.prod(values.shape[1:])
        if count * self.repeat != self.steps * self.width:
            raise ShapeError(
                f"{self.where}: values must have steps * width / repeat = "
                f"{self.steps * self.width / self.repeat:g} features, got {count}. "
                f"Pass steps={count * self.repeat // self.width}."
            )
        groups = values.reshape(len(values), -1, self.width).transpose(0, 1)
        return groups.repeat_interleave(self.repeat, 0) if self.repeat > 1 else groups
