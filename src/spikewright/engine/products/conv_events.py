"""The convolution of lists of events with kernels, and its gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.engine import memory
from spikewright.engine.cpu.runs import VECTOR_BYTES
from spikewright.engine.native import native
from spikewright.engine.products.events import Events
from spikewright.engine.products.geometry import Convolution, tables
from spikewright.engine.threads import run_ranges

Array = np.ndarray[Any, Any]
PARTS = 16
"""Parts of the rows whose gradients are added up apart, however many threads there are."""
PART_ELEMENTS = 1 << 22
"""Weights in all parts together, where more than one row's worth."""


def product(
    conv: Convolution, events: Events, weight: Tensor, bias: Tensor | None, y: Tensor
) -> None:
    """Write the convolution of events to ``y``, (rows, outputs, *sizes)."""
    kernels, out = lay_out(conv, events.valued(weight.numpy())), y.view(len(y), -1).numpy()
    shift = np.zeros(conv.outputs, out.dtype) if bias is None else bias.detach().numpy()
    lists = (events.indptr, events.index, events.count, *tables(conv))
    kernel = native("spikewright.engine", "conv", out.dtype).product
    run_ranges(
        lambda i, j: kernel(i, j, *lists, *_grids(conv, out.dtype), kernels, shift, out),
        events.rows,
        out.size // 4 + int(events.number * conv.added) // 16,
    )


def weight_gradient(conv: Convolution, events: Events, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of weight and bias from that of the output, (rows, outputs, *sizes).

    Rows are added up in an order that no number of threads changes.
    """
    values: Array = gradient.contiguous().view(len(gradient), -1).numpy()
    weights = conv.outputs * conv.in_group * conv.taps
    parts = max(1, min(PARTS, events.rows, PART_ELEMENTS // weights))
    kernels = np.empty((parts, weights), values.dtype)
    bias = np.empty((parts, conv.outputs), values.dtype)
    lists = (events.indptr, events.index, events.count, *tables(conv))
    kernel = native("spikewright.engine", "conv", values.dtype).weight_gradient
    run_ranges(
        lambda i, j: kernel(i, j, *lists, *_grids(conv, values.dtype), values, kernels, bias),
        parts,
        values.size // 4 + int(events.number * conv.added) // 16,
    )
    weight = lay_back(conv, events.valued(kernels.sum(0)))
    return torch.from_numpy(weight), torch.from_numpy(bias.sum(0))


def input_gradient(conv: Convolution, active: Events, weight: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of the listed inputs, zero elsewhere: (rows, inputs, *sizes)."""
    kernels = lay_out(conv, weight.numpy())
    values: Array = gradient.contiguous().view(len(gradient), -1).numpy()
    x = memory.empty((len(values), conv.inputs * conv.plane), gradient.dtype)
    out, lists = x.numpy(), (active.indptr, active.index, *tables(conv))
    kernel = native("spikewright.engine", "conv", values.dtype).input_gradient
    run_ranges(
        lambda i, j: kernel(i, j, *lists, *_grids(conv, values.dtype), values, kernels, out),
        active.rows,
        values.size // 4 + int(active.number * conv.added) // 16,
    )
    return x


def lay_out(conv: Convolution, weight: Array) -> Array:
    """The weights as the kernels read them: (inputs, taps in their order, width), flat."""
    taps, order = conv.axes[-1].taps, conv.axes[-1].order()
    lines = weight.reshape(conv.groups, conv.width, -1, taps)
    out = aligned((conv.groups, lines.shape[2], taps, conv.width), weight.dtype)
    out[:] = lines[..., order].transpose(0, 2, 3, 1)
    return out.reshape(-1)


def lay_back(conv: Convolution, kernels: Array) -> Array:
    """The opposite of `lay_out`: (outputs, inputs of a group, *taps)."""
    taps, order = conv.axes[-1].taps, conv.axes[-1].order()
    lines = kernels.reshape(conv.groups, -1, taps, conv.width).transpose(0, 3, 1, 2)
    weight = np.empty(lines.shape, kernels.dtype)
    weight[..., order] = lines
    sizes = (axis.taps for axis in conv.axes)
    return weight.reshape(conv.outputs, conv.in_group, *sizes)


def _grids(conv: Convolution, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """A dense and a wide grid of one group, for one thread."""
    return aligned((conv.places * conv.width,), dtype), aligned((conv.wide * conv.width,), dtype)


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An uninitialised array that starts on a line of the cache."""
    size = math.prod(shape) * dtype.itemsize
    block = np.empty(size + VECTOR_BYTES, np.uint8)
    start = -block.ctypes.data % VECTOR_BYTES
    return block[start : start + size].view(dtype).reshape(shape)
