"""What every encoder is: values in, a sequence of spikes or currents out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.errors import ParameterError, ShapeError
from spikewright.units import check_dt


@dataclass(frozen=True)
class Encoder:
    """Turns values into sequences of ``steps`` time steps of ``dt`` seconds.

    Calling it maps (batch, *features) to (steps, batch, *features), of the same dtype and on the
    same device, or to the list of spikes of a trial of ``steps * dt`` seconds; an encoder keeps
    no state.

    Args:
        steps: length of the sequence.
        dt: time step, s.

    Raises:
        ParameterError: steps or dt that are not positive.
    """

    name: ClassVar[str] = ""

    steps: int
    dt: float

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise ParameterError(
                f"{self.where}: steps must be a positive integer, got {self.steps!r}. "
                "Pass for example steps=100."
            )
        check_dt(self.where, self.dt)

    def __call__(
        self, values: Tensor, generator: torch.Generator | None = None
    ) -> Tensor | SpikeTimes:
        """Encode a batch.

        Args:
            values: (batch, *features).
            generator: source of random numbers, ``None`` for PyTorch's global one; encoders
                without randomness do not draw from it.

        Returns:
            (steps, batch, *features), or `SpikeTimes` where times are not on the grid.

        Raises:
            ShapeError: values of another dtype, not finite, or outside their range.
        """
        raise NotImplementedError

    @property
    def where(self) -> str:
        return f"coding.{type(self).__name__}"

    def check_positive(self, field: str, example: str) -> None:
        """Raise ParameterError unless the option named is a positive, finite number."""
        value = getattr(self, field)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 < value < math.inf
        ):
            raise ParameterError(
                f"{self.where}: {field} must be positive and finite, got {value!r}. "
                f"Pass for example {field}={example}."
            )


def check_floating(where: str, values: Tensor) -> None:
    """Raise ShapeError unless ``values`` is a floating-point tensor with a batch axis."""
    if not isinstance(values, Tensor) or not values.dtype.is_floating_point:
        got = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise ShapeError(
            f"{where}: values must be a tensor of floating-point numbers, got {got}. "
            "Convert them, for example images of bytes with images.float() / 255."
        )
    if values.ndim == 0:
        raise ShapeError(
            f"{where}: values must be (batch, *features), got a single number. "
            "Add the batch axis with values[None]."
        )


def check_finite(where: str, values: Tensor) -> None:
    """Raise ShapeError where ``values`` holds NaN or an infinity."""
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        raise ShapeError(
            f"{where}: values must be finite, got NaN or infinity in {bad:,} of "
            f"{values.numel():,} places. Fill or drop these samples first."
        )


def check_unit(where: str, values: Tensor) -> None:
    """Raise ShapeError unless ``values`` are floating-point numbers in [0, 1]."""
    check_floating(where, values)
    if values.numel() == 0:
        return
    # One pass in the usual case: NaN makes both comparisons false.
    low, high = (float(edge) for edge in values.detach().aminmax())
    if low >= 0 and high <= 1:
        return
    check_finite(where, values)
    raise ShapeError(
        f"{where}: values must lie in [0, 1], got a range of {low:.6g} to {high:.6g}. "
        "Scale them first, for example with (x - x.min()) / (x.max() - x.min())."
    )
