"""The operations of the integer network written out in NumPy int64, in plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    Flatten,
    IntegerNetwork,
    MaxPool,
    Operation,
    SumPool,
)

Whole = np.ndarray[Any, np.dtype[np.int64]]


def requantise(m: Whole, shift: int, bits: int) -> Whole:
    """floor(m / 2^shift + 1/2) by whole-number division, then the range."""
    m = (2 * m + 2**shift) // 2 ** (shift + 1) if shift > 0 else m * 2**-shift
    return np.minimum(np.maximum(m, 0), 2**bits - 1)


def run(network: IntegerNetwork, q: Whole) -> dict[str, Whole]:
    """Every stage's values."""
    values = {INPUT: q}
    for stage in network.stages:
        m = operate(stage.operation, [values[name] for name in stage.inputs])
        form = stage.requantise
        values[stage.name] = m if form is None else requantise(m, form.shift, form.bits)
    return values


def operate(operation: Operation, given: list[Whole]) -> Whole:
    if isinstance(operation, Dense):
        weight = operation.weight.numpy()
        return np.array([[int(row @ q) for row in weight] for q in given[0]]) + (
            operation.bias.numpy()
        )
    if isinstance(operation, Convolution):
        return convolve(operation, given[0])
    if isinstance(operation, MaxPool | SumPool):
        return pool(operation, given[0])
    if isinstance(operation, Add):
        return sum((q * 2**k for q, k in zip(given, operation.shifts, strict=True)), np.int64(0))  # pyright: ignore
    assert isinstance(operation, Flatten)
    return given[0].reshape(len(given[0]), -1)


def convolve(operation: Convolution, q: Whole) -> Whole:
    weight, bias = operation.weight.numpy(), operation.bias.numpy()
    (sy, sx), (py, px) = operation.stride, operation.padding
    outputs, depth, rows, columns = weight.shape
    each = outputs // operation.groups
    height = (q.shape[2] + 2 * py - rows) // sy + 1
    width = (q.shape[3] + 2 * px - columns) // sx + 1
    m = np.zeros((len(q), outputs, height, width), dtype=np.int64)
    for b, o, y, x in np.ndindex(*m.shape):
        total = int(bias[o])
        for c, i, j in np.ndindex(depth, rows, columns):
            at, to = y * sy + i - py, x * sx + j - px
            if 0 <= at < q.shape[2] and 0 <= to < q.shape[3]:
                total += int(weight[o, c, i, j]) * int(q[b, o // each * depth + c, at, to])
        m[b, o, y, x] = total
    return m


def pool(operation: MaxPool | SumPool, q: Whole) -> Whole:
    (wy, wx), (sy, sx), (py, px) = operation.window, operation.stride, operation.padding
    padded = np.pad(q, ((0, 0), (0, 0), (py, py), (px, px)))
    height = (padded.shape[2] - wy) // sy + 1
    width = (padded.shape[3] - wx) // sx + 1
    out = np.zeros((*q.shape[:2], height, width), dtype=np.int64)
    for b, c, y, x in np.ndindex(*out.shape):
        window = padded[b, c, y * sy : y * sy + wy, x * sx : x * sx + wx]
        out[b, c, y, x] = window.max() if isinstance(operation, MaxPool) else window.sum()
    return out
