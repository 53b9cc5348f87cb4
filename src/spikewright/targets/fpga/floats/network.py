"""A trained ReLU network in real numbers: the graph that is quantised.

Products, pooling, flattening and additions are the operations of the integer network, with real
weights; batch norm, ReLU and the mean over windows are there besides, until passes merge them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    Flatten,
    MaxPool,
    Pair,
)
from spikewright.targets.fpga.walk import walk


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """y = weight (x - mean) / sqrt(variance + eps) + bias, each (channels,) float64."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    variance: Tensor
    eps: float

    def accumulate(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """(batch, channels, ...), likewise."""
        gain, shift = (v.to(inputs[0].dtype) for v in self.line())
        each = (-1, *(1 for _ in inputs[0].shape[2:]))
        return inputs[0] * gain.view(each) + shift.view(each)

    def line(self) -> tuple[Tensor, Tensor]:
        """Gain and shift: y = gain x + shift."""
        gain = self.weight / torch.sqrt(self.variance + self.eps)
        return gain, self.bias - self.mean * gain


@dataclass(frozen=True)
class ReLU:
    """What is negative becomes 0, what is above ``most`` becomes that."""

    most: float = math.inf

    def accumulate(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Any shape."""
        return inputs[0].clamp(0, self.most)


@dataclass(frozen=True)
class AveragePool:
    """The sum of each window over ``divisor``; what lies outside is 0."""

    window: Pair
    stride: Pair
    padding: Pair
    divisor: int

    def accumulate(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """(batch, channels, rows, columns), likewise smaller."""
        options = (self.window, self.stride, self.padding)
        return functional.avg_pool2d(inputs[0], *options, divisor_override=self.divisor)


FloatOperation = (
    Convolution | Dense | BatchNorm | ReLU | MaxPool | AveragePool | Add | Flatten
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class FloatStage:
    """One step: an operation on earlier stages, or on ``INPUT``."""

    name: str
    inputs: tuple[str, ...]
    operation: FloatOperation


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """Stages in the order they are worked out; the last one is the output.

    Args:
        shape: of an input, (channels, rows, columns) or (features,); a line of values has one row.
        stages: at least one.

    >>> import torch
    >>> dense = Dense(torch.tensor([[1.0, -2.0]]), torch.zeros(1))
    >>> first, second = FloatStage("a", (INPUT,), dense), FloatStage("b", ("a",), ReLU())
    >>> net = FloatNetwork((2,), (first, second))
    >>> net.run(torch.tensor([[3.0, 1.0], [1.0, 1.0]])).tolist()
    [[1.0], [0.0]]
    """

    shape: tuple[int, ...]
    stages: tuple[FloatStage, ...]

    def run(self, x: Tensor) -> Tensor:
        """The output for inputs (batch, *shape), or any shape with as many values."""
        *_, (_, out) = self.walk(x)
        return out

    def walk(self, x: Tensor) -> Iterator[tuple[FloatStage, Tensor]]:
        """Each stage and what it gives."""

        def work(stage: FloatStage, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
            out = stage.operation.accumulate(inputs)
            return out, out

        return walk(self.stages, {INPUT: x.reshape(len(x), *self.shape)}, work)

    @cached_property
    def users(self) -> Mapping[str, tuple[FloatStage, ...]]:
        """By stage, and for the input, the stages that read it."""
        found: dict[str, tuple[FloatStage, ...]] = {INPUT: ()}
        for stage in self.stages:
            found[stage.name] = ()
            for name in dict.fromkeys(stage.inputs):
                found[name] += (stage,)
        return found

    @cached_property
    def by_name(self) -> Mapping[str, FloatStage]:
        """The stages by their names."""
        return {stage.name: stage for stage in self.stages}

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """By stage, and for the input, the shape of what one sample gives."""
        with torch.no_grad():
            walk = self.walk(torch.zeros(1, *self.shape, dtype=torch.float64))
            found = {stage.name: tuple(out.shape[1:]) for stage, out in walk}
        return {INPUT: self.shape} | found
