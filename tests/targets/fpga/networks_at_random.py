"""Networks in whole numbers at random: shapes, strides, paddings, groups, bits and branches."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    Flatten,
    IntegerNetwork,
    MaxPool,
    Operation,
    Requantise,
    Stage,
    SumPool,
)

Draw = np.random.Generator


def network(seed: int) -> IntegerNetwork:
    """Two or three stages on images, one of them a branch that is added, and a product."""
    draw = np.random.default_rng(seed)
    bits = int(draw.integers(1, 7))
    shape = (int(draw.integers(1, 4)), *map(int, draw.integers(5, 9, 2)))
    stages: list[Stage] = []
    source, now = INPUT, shape
    for name in ("first", "second"):
        stages.append(_stage(name, source, _convolution(draw, now), draw))
        source, now = name, _shape(stages[-1].operation, now)
        if draw.random() < 0.6:
            pool, named = _pool(draw, now), f"{name}_pool"
            form = _form(pool, bits, draw) if isinstance(pool, SumPool) else None
            stages.append(Stage(named, (source,), pool, form))
            source, now = named, _shape(pool, now)
    stages += _branch(draw, source, now)
    stages.append(Stage("flat", ("join",), Flatten()))
    features = math.prod(now)
    weight = torch.from_numpy(draw.integers(-4, 4, (5, features)))
    stages.append(Stage("out", ("flat",), Dense(weight, _bias(draw, 5))))
    return IntegerNetwork(shape, bits, tuple(stages), scale=0.1)


def inputs(seed: int, net: IntegerNetwork, batch: int = 2) -> Tensor:
    draw = np.random.default_rng([seed, 1])
    return torch.from_numpy(draw.integers(0, 2**net.bits, (batch, *net.shape)))


def _branch(draw: Draw, source: str, shape: tuple[int, ...]) -> list[Stage]:
    """Sums of a convolution, or its activations, added to what it was given."""
    weight = torch.from_numpy(draw.integers(-4, 4, (shape[0], shape[0], 3, 3)))
    sums = Convolution(weight, _bias(draw, shape[0]), padding=(1, 1))
    form = Requantise(int(draw.integers(0, 6)), int(draw.integers(1, 6)))
    shifts = (0, int(draw.integers(0, 4)))
    inner = Stage("branch", (source,), sums, form if draw.random() < 0.5 else None)
    form = Requantise(int(draw.integers(-1, 6)), 4)
    return [inner, Stage("join", ("branch", source), Add(shifts), form)]


def _stage(name: str, source: str, operation: Convolution, draw: Draw) -> Stage:
    return Stage(name, (source,), operation, _form(operation, int(draw.integers(1, 7)), draw))


def _form(operation: Operation, bits: int, draw: Draw) -> Requantise:
    """Shifts about where the values are, so that some saturate and some do not."""
    spread = operation.bound((15,)) // 8
    return Requantise(max(int(spread).bit_length() - bits + int(draw.integers(-1, 2)), -2), bits)


def _convolution(draw: Draw, shape: tuple[int, ...]) -> Convolution:
    groups = int(draw.choice([1, shape[0]]))
    outputs = groups * int(draw.integers(1, 4))
    taps = tuple(
        min(int(n), size) for n, size in zip(draw.integers(1, 4, 2), shape[1:], strict=True)
    )
    padding = (int(draw.integers(0, taps[0])), int(draw.integers(0, taps[1])))
    stride = (int(draw.integers(1, 3)), int(draw.integers(1, 3)))
    weight = torch.from_numpy(draw.integers(-8, 8, (outputs, shape[0] // groups, *taps)))
    return Convolution(weight, _bias(draw, outputs), stride, padding, groups)


def _pool(draw: Draw, shape: tuple[int, ...]) -> MaxPool | SumPool:
    window = tuple(min(int(size), 3) for size in draw.integers(1, 4, 2))
    window = (min(window[0], shape[1]), min(window[1], shape[2]))
    stride = (int(draw.integers(1, 3)), int(draw.integers(1, 3)))
    padding = (int(draw.integers(0, window[0] // 2 + 1)), int(draw.integers(0, window[1] // 2 + 1)))
    return (MaxPool, SumPool)[int(draw.integers(2))](window, stride, padding)


def _bias(draw: Draw, outputs: int) -> Tensor:
    return torch.from_numpy(draw.integers(-20, 20, outputs))


def _shape(operation: Operation, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(operation.accumulate((torch.zeros(1, *shape),)).shape[1:])
