"""Number formats: what a value on an edge, a weight or a state field may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from spikewright.errors import ParameterError

Rounding = Literal["nearest", "floor", "zero"]
Overflow = Literal["saturate", "wrap"]


@dataclass(frozen=True)
class Real:
    """A floating number of a dtype."""

    dtype: torch.dtype = torch.float32

    def __str__(self) -> str:
        return str(self.dtype).removeprefix("torch.")


@dataclass(frozen=True)
class Spikes:
    """A whole number of spikes a step, 0 to ``maximum``."""

    maximum: int = 1

    def __str__(self) -> str:
        return f"spikes<{self.maximum}>"


@dataclass(frozen=True, eq=False)
class Fixed:
    """``value = scale * q`` with a whole number q of ``bits`` bits.

    Args:
        bits: of q, the sign included.
        scale: what q = 1 means; a scalar, or one for each channel, broadcastable to the value.
        signed: whether q may be negative. ``symmetric``: leaves the lowest number out.
        rounding: ``"nearest"`` (half up), ``"floor"`` or towards ``"zero"``.
        overflow: what happens beyond the range.
    """

    bits: int
    scale: Tensor
    signed: bool = True
    symmetric: bool = True
    rounding: Rounding = "nearest"
    overflow: Overflow = "saturate"

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 53 or (self.signed and self.bits < 2):
            raise ParameterError(
                f"Fixed: bits must be 1 to 53, with a sign at least 2, got {self.bits}. "
                "Pass for example bits=8."
            )
        if not bool((self.scale.isfinite() & (self.scale > 0)).all()):
            raise ParameterError(
                f"Fixed: scale must be finite and above 0, got {self.scale.min().item():g}. "
                "Take the largest value divided by the largest whole number."
            )
        if self.overflow == "wrap" and self.signed and self.symmetric:
            raise ParameterError(
                "Fixed: symmetric must be False where numbers wrap, got True. Numbers that wrap "
                "use all patterns of their bits; pass symmetric=False."
            )

    @property
    def least(self) -> int:
        if not self.signed:
            return 0
        return -(2 ** (self.bits - 1)) + (1 if self.symmetric else 0)

    @property
    def most(self) -> int:
        return 2 ** (self.bits - (1 if self.signed else 0)) - 1


Format = Real | Spikes | Fixed


def quantised(value: Tensor, format: Format) -> Tensor:
    """The numbers of a format that stand for ``value``, in its dtype.

    A fixed-point number is ``scale * clamp(round(value / scale), least, most)``; it is exact for
    whole numbers up to 2^24 in float32 and 2^53 in float64. A number of spikes is rounded down to
    a whole one from 0 to ``maximum``.

    >>> quantised(torch.tensor([0.26, 9.0, -9.0]), Fixed(4, torch.tensor(0.5)))
    tensor([ 0.5000,  3.5000, -3.5000])
    """
    if isinstance(format, Real):
        return value.to(format.dtype).to(value.dtype)
    if isinstance(format, Spikes):
        return value.floor().clamp(0, format.maximum)
    scale = format.scale.to(value)
    return _into_range(_rounded(value / scale, format.rounding), format) * scale


def integers(value: Tensor, format: Fixed) -> Tensor:
    """The whole numbers q that stand for ``value``, int64.

    >>> integers(torch.tensor([0.26, 9.0, -9.0]), Fixed(4, torch.tensor(0.5)))
    tensor([ 1,  7, -7])
    """
    return _into_range(_rounded(value / format.scale.to(value), format.rounding), format).long()


def from_integers(q: Tensor, format: Fixed, dtype: torch.dtype = torch.float32) -> Tensor:
    """The values that whole numbers stand for: ``scale * q``.

    >>> from_integers(torch.tensor([1, -7]), Fixed(4, torch.tensor(0.5)))
    tensor([ 0.5000, -3.5000])
    """
    return q.to(dtype) * format.scale.to(dtype)


def saturated(value: Tensor, format: Format) -> Tensor:
    """Where ``value`` is outside the range of a format, a boolean each.

    >>> saturated(torch.tensor([0.26, 9.0, -9.0]), Fixed(4, torch.tensor(0.5)))
    tensor([False,  True,  True])
    """
    if isinstance(format, Real):
        return value.isfinite() & ~value.to(format.dtype).isfinite()
    if isinstance(format, Spikes):
        return (value < 0) | (value > format.maximum)
    q = _rounded(value / format.scale.to(value), format.rounding)
    return (q < format.least) | (q > format.most)


def _rounded(q: Tensor, rounding: Rounding) -> Tensor:
    if rounding == "zero":
        return q.trunc()
    below = q.floor()
    # q + 0.5 would itself be rounded: up to 1 for the number just below 0.5
    return below if rounding == "floor" else below + (q - below >= 0.5).to(q.dtype)


def _into_range(q: Tensor, format: Fixed) -> Tensor:
    if format.overflow == "saturate":
        return q.clamp(format.least, format.most)
    return torch.remainder(q - format.least, format.most - format.least + 1) + format.least
