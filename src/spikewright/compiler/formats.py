"""Number formats: what a value on an edge, a weight or a state field may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

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

    @property
    def least(self) -> int:
        if not self.signed:
            return 0
        return -(2 ** (self.bits - 1)) + (1 if self.symmetric else 0)

    @property
    def most(self) -> int:
        return 2 ** (self.bits - (1 if self.signed else 0)) - 1


Format = Real | Spikes | Fixed
