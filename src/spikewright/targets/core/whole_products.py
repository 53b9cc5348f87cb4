"""Products of whole numbers held in floating ones, exact whatever precision the caller allows.

float32 holds whole numbers up to 2^24, and so do its products and sums if they stay there; unless
a setting lets them be worked out with fewer bits, or by transforms (Winograd) that leave the whole
numbers: autocast, `torch.set_float32_matmul_precision`, ``fp32_precision`` of a backend, a backend
that is switched off. Such products are worked out in float64 here, which none of these touches.
The settings stay as they are: they belong to the caller, and to all threads.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_BACKEND: Any = torch.backends.mkldnn
_MATRICES: Any = _BACKEND.matmul
_CONVOLUTIONS: Any = _BACKEND.conv
_FULL = ("none", "ieee")
_MODES = ("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE")
"""Variables that the library behind the backend starts with; it is strict without them."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear`, exact where all sums of whole numbers fit the format of x.

    >>> x, weight = torch.tensor([[4095.0]]), torch.tensor([[4097.0]])
    >>> with torch.autocast("cpu", dtype=torch.bfloat16):
    ...     linear(x, weight).item(), functional.linear(x, weight).item()
    (16777215.0, 16777216.0)
    """
    if _keeps(x, _MATRICES):
        return functional.linear(x, weight, bias)
    return functional.linear(x.double(), weight.double(), _double(bias)).to(x.dtype)


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    groups: int = 1,
) -> Tensor:
    """`torch.nn.functional.conv2d`, exact likewise."""
    # Without the backend another one may take a large batch, by Winograd's transforms.
    if _keeps(x, _CONVOLUTIONS) and (x.dtype == torch.float64 or _BACKEND.enabled):
        return functional.conv2d(x, weight, bias, stride, padding, 1, groups)
    wide = x.double(), weight.double(), _double(bias)
    return functional.conv2d(*wide, stride, padding, 1, groups).to(x.dtype)


def matrices_keep_float32() -> bool:
    """Whether products of float32 matrices on the CPU keep all bits at the moment."""
    return _keeps(torch.empty(0), _MATRICES)


def _keeps(x: Tensor, backend: Any) -> bool:
    """Whether products in the format of x keep all its bits."""
    if x.dtype == torch.float64:
        return True
    free = torch.is_autocast_enabled("cpu") or not x.is_cpu or not _strict_from_the_start()
    return not free and backend.fp32_precision in _FULL


@cache
def _strict_from_the_start() -> bool:
    chosen = (os.environ.get(name, "STRICT").upper() for name in _MODES)
    return _BACKEND.is_available() and all(mode == "STRICT" for mode in chosen)


def _double(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.double()
