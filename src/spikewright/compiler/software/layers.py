"""Layers for the nodes of a program that the package's own layers do not cover."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from spikewright.compiler import discrete
from spikewright.compiler.formats import Format, quantised, saturated
from spikewright.connections import Delay, DelayedLinear
from spikewright.connections.base import Connection
from spikewright.engine.layer import Layer, Shape, State
from spikewright.errors import NetworkError

SATURATED = "saturated"
OUTPUT = "handed on"
"""What neurons that do not spike record as the trace of their output; no field is called so."""


class Reshape(Connection):
    """y = x in another shape."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.target = shape

    def output_shape(self, shape: Shape) -> Shape:
        if math.prod(shape) != math.prod(self.target):
            raise NetworkError(
                f"Reshape: input features must be as many as {self.target} has, got {shape}. "
                "Change the layer before it."
            )
        return self.target

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        return self.map_sequence(lambda x: x.reshape(*x.shape[:2], *self.target), x, state)


class Affine(Connection):
    """y = scale x + shift for each number of x."""

    scale: Tensor
    shift: Tensor
    step_alone = True

    def __init__(self, operation: discrete.Affine) -> None:
        super().__init__()
        self.register_buffer("scale", operation.scale)
        self.register_buffer("shift", operation.shift)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        return self.map_sequence(lambda x: x * self.scale + self.shift, x, state)


class Rounding(Connection):
    """The numbers of a format that stand for those of x.

    ``run`` records as ``"saturated"`` where numbers were out of range.
    """

    def __init__(self, format: Format) -> None:
        super().__init__()
        self.format = format

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        return self.map_sequence(lambda x: quantised(x, self.format), x, state)

    def run(
        self, x: Tensor, state: State = None, record: tuple[str, ...] = ()
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        y, state = self(x, state)
        return y, state, {name: saturated(x, self.format) for name in record}

    def field_names(self) -> tuple[str, ...]:
        """What `run` can record."""
        return (SATURATED,)


class Chain(Layer):
    """Layers one after the other, as one."""

    stateful = True

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self.parts = nn.ModuleList(layers)

    def build(self, shape: Shape, dt: float) -> Shape:
        output = super().build(shape, dt)
        for layer in self._layers():
            shape = layer.build(shape, dt)
        return output

    def output_shape(self, shape: Shape) -> Shape:
        for layer in self._layers():
            shape = layer.output_shape(shape)
        return shape

    def initial_state(self, batch: int) -> tuple[Any, ...]:
        return tuple(layer.initial_state(batch) for layer in self._layers())

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        after: list[Any] = []
        for layer, before in zip(self._layers(), state or [None] * len(self.parts), strict=True):
            x, last = layer(x, before)
            after.append(last)
        return x, tuple(after)

    def _layers(self) -> list[Layer]:
        return list(self.parts)  # type: ignore[arg-type]


class GivenDelay(Delay):
    """A delay whose steps are given."""

    def __init__(self, operation: discrete.Delayed, dt: float) -> None:
        steps = operation.steps + operation.fraction.double()
        super().__init__(steps * dt, operation.depth * dt)
        self.given = operation.steps, operation.fraction

    def taps(self) -> tuple[Tensor, Tensor]:
        return self.given


class GivenTaps(DelayedLinear):
    """A product with delays whose taps are given."""

    def __init__(self, taps: Tensor, bias: bool, dt: float) -> None:
        outputs, inputs, depth = taps.shape
        super().__init__(inputs, outputs, 0.0, (depth - 1) * dt, bias=bias)
        self.given = taps

    def _kernel(self, depth: int) -> Tensor:
        return self.given
