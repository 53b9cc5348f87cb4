"""Convolutions and pooling of spikes as registered operations; see `products`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.engine.custom_ops.operation import call, register
from spikewright.engine.custom_ops.products import is_dense
from spikewright.engine.products import conv as convolutions
from spikewright.engine.products import pool as pooling
from spikewright.engine.products.costs import Path
from spikewright.engine.products.events import events_for, events_wanted
from spikewright.engine.products.geometry import Convolution
from spikewright.engine.products.pool import Windows


@dataclass(frozen=True)
class Conv:
    """``spikewright::conv``: input, weight and bias if any, to the convolution."""

    geometry: Convolution
    path: Path

    @property
    def name(self) -> str:
        return "conv"

    def run(self, tensors: list[Tensor]) -> list[Tensor]:
        x, weight, *bias = tensors
        way = convolutions.choose_way(x, weight, self.geometry, self.path)
        shift = bias[0] if bias else None
        return [convolutions.convolve_as(way, x, weight, shift, self.geometry)]

    def like(self, tensors: list[Tensor]) -> list[Tensor]:
        x = tensors[0]
        return [x.new_empty((*x.shape[:2], *self.geometry.shape))]


def conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Convolution, path: Path
) -> Tensor:
    """`spikewright.engine.products.conv.convolve`, registered where events may help."""
    if is_dense(x, weight, path, convolutions.size_of(geometry, 1)):
        return convolutions.dense(x, weight, bias, geometry)
    return call(Conv(geometry, path), [x, weight, *([] if bias is None else [bias])])[0]


@dataclass(frozen=True)
class Pool:
    """``spikewright::pool``: a sequence of images to one number from each window.

    Args:
        marked: whether the result carries its events.
    """

    windows: Windows
    marked: bool

    @property
    def name(self) -> str:
        return "pool"

    def run(self, tensors: list[Tensor]) -> list[Tensor]:
        x = tensors[0]
        with events_for(self.marked):
            if pooling.can_pool(x, self.windows):
                return [pooling.pool(x, self.windows)]
        y: Any = _TorchPool.apply(x, self.windows)
        return [y]

    def like(self, tensors: list[Tensor]) -> list[Tensor]:
        x = tensors[0]
        return [x.new_empty((*x.shape[:3], *self.windows.outputs(tuple(x.shape[3:]))))]


class _TorchPool(torch.autograd.Function):
    """Torch's pooling, in one piece with its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, windows: Windows) -> Tensor:
        rows, ctx.windows = x.flatten(0, 1), windows
        if windows.divisor:
            ctx.save_for_backward(rows)
            options: Any = {"divisor_override": windows.divisor}
            y = functional.avg_pool2d(rows, windows.size, windows.step, **options)
        else:
            y, index = functional.max_pool2d_with_indices(rows, windows.size, windows.step)
            ctx.save_for_backward(rows, index)
        return y.unflatten(0, x.shape[:2])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        rows, *index = ctx.saved_tensors
        windows, rest = ctx.windows, gradients[0].flatten(0, 1)
        sizes, none = (list(windows.size), list(windows.step)), [0, 0]
        aten: Any = torch.ops.aten
        if index:
            options = *sizes, none, [1, 1], False, index[0]
            made = aten.max_pool2d_with_indices_backward(rest, rows, *options)
        else:
            options = *sizes, none, False, True, windows.divisor
            made = aten.avg_pool2d_backward(rest, rows, *options)
        return made.unflatten(0, gradients[0].shape[:2]), None


def pool(x: Tensor, windows: Windows) -> Tensor:
    """Pooling as a registered operation, which takes the way that the values call for."""
    return call(Pool(windows, events_wanted()), [x])[0]


register("conv")
register("pool")
