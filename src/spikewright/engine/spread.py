"""One value for many neurons, with a gradient that no number of threads changes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikewright.engine.traced import is_traced


def spread(value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``value.expand(shape)``; on the CPU its gradient is summed in a fixed order.

    >>> spread(torch.tensor(2.0), (3, 2)).shape
    torch.Size([3, 2])
    """
    known = value.device.type == "cpu" and not is_traced(value)
    if value.shape == shape or not value.requires_grad or not known:
        return value.expand(shape)
    return _Spread.apply(value, shape)


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(value: Tensor, shape: tuple[int, ...]) -> Tensor:
        return value.expand(shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.shape = inputs[0].shape

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        gradient = grads[0]
        if gradient.requires_grad:
            return gradient.sum_to_size(ctx.shape), None
        missing = gradient.ndim - len(ctx.shape)
        axes = tuple(
            axis
            for axis in range(gradient.ndim)
            if axis < missing or ctx.shape[axis - missing] != gradient.shape[axis]
        )
        known = gradient.float() if gradient.dtype is torch.bfloat16 else gradient  # to NumPy
        total = torch.as_tensor(known.numpy().sum(axis=axes)).to(gradient.dtype)
        return total.reshape(ctx.shape), None
