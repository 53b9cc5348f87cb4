"""How many additions a spike causes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.targets.fpga.integer import (
    Add,
    Convolution,
    Dense,
    Operation,
    SumPool,
)


def fan_out(operation: Operation, shape: tuple[int, ...]) -> Tensor:
    """The sums that one spike at each place of the input is added to, (*shape), int64.

    Weights of 0 count as others do; taps that fall into the padding do not. 0 where nothing is
    added: pooling by the largest compares, flattening does nothing.

    Args:
        shape: of one sample of the input.

    >>> fan_out(Convolution(torch.ones(2, 1, 1, 2), torch.zeros(2)), (1, 1, 3))
    tensor([[[2, 4, 2]]])
    """
    if isinstance(operation, Dense):
        return torch.full(shape, len(operation.weight))
    if isinstance(operation, Add):
        return torch.ones(shape, dtype=torch.int64)
    if isinstance(operation, SumPool):
        taps = torch.ones(shape[0], 1, *operation.window, dtype=torch.float64)
        return _spread(taps, operation, shape, groups=shape[0])
    if isinstance(operation, Convolution):
        taps = torch.ones(operation.weight.shape, dtype=torch.float64)
        return _spread(taps, operation, shape, operation.groups)
    return torch.zeros(shape, dtype=torch.int64)


def _spread(
    taps: Tensor, windows: Convolution | SumPool, shape: tuple[int, ...], groups: int
) -> Tensor:
    reached = functional.conv2d(
        taps.new_zeros(1, *shape), taps, None, windows.stride, windows.padding, groups=groups
    )
    # Transposed, the convolution sends each output's 1 back to the inputs it was made of.
    back, stride, padding = torch.ones_like(reached), windows.stride, windows.padding
    rest = tuple(
        (size + 2 * pad - kernel) % step
        for size, pad, kernel, step in zip(shape[1:], padding, taps.shape[2:], stride, strict=True)
    )
    spread = functional.conv_transpose2d(back, taps, None, stride, padding, rest, groups)
    return spread[0].to(torch.int64)
