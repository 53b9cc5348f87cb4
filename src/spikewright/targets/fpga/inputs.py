"""Inputs as whole numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from spikewright.targets.fpga.integer import IntegerNetwork


def encode(network: IntegerNetwork, x: Tensor) -> Tensor:
    """q = clip(floor(x / scale + 1/2), 0, 2^bits - 1), (batch, *shape) int64.

    With images from 0 to 1, scale is 1 / (2^bits - 1): 1.0 is the largest number.

    Args:
        x: (batch, *features), as many values as the network's shape has.

    >>> from spikewright.targets.fpga.integer import INPUT, Add, Stage
    >>> net = IntegerNetwork((3,), 2, (Stage("a", (INPUT,), Add((0,))),), scale=1 / 3)
    >>> encode(net, torch.tensor([[-0.1, 0.5, 2.0]]))
    tensor([[0, 2, 3]])
    """
    return _levels(network, x).clamp(0, 2**network.bits - 1).to(torch.int64)


def saturated_inputs(network: IntegerNetwork, x: Tensor) -> int:
    """How many values of the input `encode` had to clip."""
    levels = _levels(network, x)
    return int(((levels < 0) | (levels > 2**network.bits - 1)).sum())


def _levels(network: IntegerNetwork, x: Tensor) -> Tensor:
    # In float64, so that the same number comes out whatever the type of x is.
    return torch.floor(x.reshape(len(x), *network.shape).double() / network.scale + 0.5)
