"""Weights as whole numbers of some bits, with one scale for a layer that is a power of two."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spikewright.errors import CompileError

FINER = 3
"""Scales tried beyond that at which the largest weight fits."""


def weight_places(weights: list[Tensor], bits: int, layer: str) -> int:
    """The binary places with the least squared error; a weight beyond the range is cut to it.

    Args:
        weights: all that share the scale.
        layer: names it in an error.

    Raises:
        CompileError: all weights are 0.

    >>> import torch
    >>> weight_places([torch.tensor([0.5, -0.9])], 4, "hidden")
    3
    """
    numbers = np.concatenate([weight.numpy().ravel() for weight in weights])
    most = float(np.abs(numbers).max(initial=0.0))
    if most == 0:
        raise CompileError(
            f"fpga.lif: weights of layer {layer!r} must not all be 0, got {numbers.size} zeros. "
            "Train the network, or leave the layer out."
        )
    widest = math.floor(math.log2((2 ** (bits - 1) - 1) / most))
    tried = range(widest, widest + FINER)
    return min(tried, key=lambda n: float(np.square(_error(numbers, bits, n)).sum()))


def whole(weight: Tensor, bits: int, places: int) -> NDArray[np.int64]:
    """q = clip(floor(w 2^places + 1/2), -(2^(bits-1) - 1), 2^(bits-1) - 1).

    >>> import torch
    >>> whole(torch.tensor([0.5, -0.9]), 4, 3).tolist()
    [4, -7]
    """
    most = 2 ** (bits - 1) - 1
    scaled = np.floor(weight.double().numpy() * 2.0**places + 0.5)
    return np.clip(scaled, -most, most).astype(np.int64)


def _error(numbers: NDArray[np.float64], bits: int, places: int) -> NDArray[np.float64]:
    most = 2 ** (bits - 1) - 1
    q = np.clip(np.floor(numbers * 2.0**places + 0.5), -most, most)
    return q * 2.0**-places - numbers
