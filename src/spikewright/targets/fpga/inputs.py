"""Inputs as whole numbers."""

from __future__ import annotations

from math import isnan, prod

import torch
from torch import Tensor

from spikewright.errors import ShapeError
from spikewright.targets.fpga.integer import IntegerNetwork


def encode(network: IntegerNetwork, x: Tensor) -> Tensor:
    """q = clip(floor(x / scale + 1/2), 0, 2^bits - 1), (batch, *shape) int64.

    With images from 0 to 1, scale is 1 / (2^bits - 1): 1.0 is the largest number.

    Args:
        x: (batch, *features), as many values as the network's shape has.

    Raises:
        ShapeError: other values, or some that are not a number.

    >>> from spikewright.targets.fpga.integer import INPUT, Add, Stage
    >>> net = IntegerNetwork((3,), 2, (Stage("a", (INPUT,), Add((0,))),), scale=1 / 3)
    >>> encode(net, torch.tensor([[-0.1, 0.5, 2.0]]))
    tensor([[0, 2, 3]])
    """
    return _levels(network, x).clamp_(0, 2**network.bits - 1).to(torch.int64)


def saturated_inputs(network: IntegerNetwork, x: Tensor) -> int:
    """How many values of the input `encode` had to clip."""
    levels = _levels(network, x)
    return int(((levels < 0) | (levels > 2**network.bits - 1)).sum())


def real_inputs(network: IntegerNetwork, x: Tensor) -> Tensor:
    """Inputs in the network's shape, (batch, *shape) float64.

    Raises:
        ShapeError: another number of values, or some that are not a number.
    """
    count = prod(network.shape)
    if x.dim() < 1 or (len(x) and prod(x.shape[1:]) != count):
        raise ShapeError(
            f"fpga.encode: x must have {count} values a sample, as {network.shape} has, got "
            f"{tuple(x.shape)}. Give (batch, {', '.join(map(str, network.shape))})."
        )
    x = x.detach()
    # The least of numbers is no number if one of them is none; looking for it is fast.
    if x.numel() and isnan(x.aminmax().min):
        raise ShapeError(
            f"fpga.encode: x must be numbers, got NaN {int(x.isnan().sum())} times. "
            "Look where the data come from."
        )
    # In float64, so that the same number comes out whatever the type of x is.
    return x.double().reshape(len(x), *network.shape)


def _levels(network: IntegerNetwork, x: Tensor) -> Tensor:
    return (real_inputs(network, x) / network.scale).add_(0.5).floor_()
