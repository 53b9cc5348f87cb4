"""Mathematical functions for Triton's interpreter, which has no device library: NumPy's.

A kernel for the interpreter imports this in place of ``triton.language.extra.libdevice``, and its
sums in place of Triton's, which are themselves kernels and compiled or not as of Triton's import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Function = Callable[..., Any]


def _on_blocks(function: Function) -> Function:
    def call(*blocks: Any) -> Any:
        from triton.language import tensor
        from triton.runtime.interpreter import TensorHandle

        first = blocks[0]
        data = function(*(block.handle.data for block in blocks))
        return tensor(TensorHandle(data, first.handle.dtype), first.type)

    return call


def _erf(x: Any) -> Any:
    from scipy.special import erf as of_scipy

    return of_scipy(x)


exp, exp2, expm1 = map(_on_blocks, (np.exp, np.exp2, np.expm1))
log, log1p, log2 = map(_on_blocks, (np.log, np.log1p, np.log2))
sin, cos, tan = map(_on_blocks, (np.sin, np.cos, np.tan))
sinh, cosh, tanh = map(_on_blocks, (np.sinh, np.cosh, np.tanh))
asin, acos, atan = map(_on_blocks, (np.arcsin, np.arccos, np.arctan))
atan2, pow, fmod = map(_on_blocks, (np.arctan2, np.power, np.fmod))
trunc, rint, erf = map(_on_blocks, (np.trunc, np.rint, _erf))


def cumsum(block: Any, axis: int) -> Any:
    """``triton.language.cumsum``."""

    def add_up(data: Any) -> Any:
        return np.cumsum(data, axis, dtype=data.dtype)

    return _on_blocks(add_up)(block)


def total(block: Any, axis: int) -> Any:
    """``triton.language.sum`` of a block with one axis."""
    return _one_of(block, np.sum(block.handle.data, axis, block.handle.data.dtype, keepdims=True))


def greatest(block: Any, axis: int) -> Any:
    """``triton.language.max`` of a block with one axis."""
    return _one_of(block, np.max(block.handle.data, axis, keepdims=True))


def _one_of(block: Any, data: Any) -> Any:
    """A number of the same type as those in a block."""
    from triton.language import tensor
    from triton.runtime.interpreter import TensorHandle

    return tensor(TensorHandle(data, block.handle.dtype), block.dtype)
