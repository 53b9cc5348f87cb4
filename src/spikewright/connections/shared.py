"""One layer for many places: the same weights along leading feature axes."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright.connections.base import positive
from spikewright.engine.checks import check_sequence
from spikewright.engine.layer import Layer, Shape, State
from spikewright.errors import NetworkError


class Shared(Layer):
    """Apply one layer to each place along the first feature axes, with the same weights.

    ``y[:, :, i] = layer(x[:, :, i])`` for each place i: the places go into the batch axis, so
    neurons, recurrent layers and connections all serve, and each place has a state of its own.

    Args:
        layer: a layer for the features of one place.
        axes: how many leading feature axes are places.

    Shapes: x (time, batch, *places, *features) to (time, batch, *places, *others). State: that of
    the layer, with the places after the batch axis.

    Raises:
        NetworkError: ``layer`` is none, or the features have no axis beside the places.

    >>> import torch
    >>> from spikewright import LIF, Linear, Recurrent
    >>> words = Shared(Recurrent(LIF()))
    >>> words.build((20, 8), dt=1e-3)
    (20, 8)
    >>> spikes, state = words(torch.rand(10, 2, 20, 8))
    >>> spikes.shape, state.neuron.v.shape
    (torch.Size([10, 2, 20, 8]), torch.Size([2, 20, 8]))
    """

    def __init__(self, layer: Layer, axes: int = 1) -> None:
        super().__init__()
        if not isinstance(layer, Layer):
            raise NetworkError(
                f"Shared: layer must be a spikewright Layer, got {type(layer).__name__}. "
                "Pass for example Shared(Linear(8, 4))."
            )
        self.layer, self.axes = layer, positive("Shared", "axes", axes)
        self.spiking, self.stateful = layer.spiking, layer.stateful
        self.whole_sequence = layer.whole_sequence

    def build(self, shape: Shape, dt: float) -> Shape:
        output = super().build(shape, dt)
        self.layer.build(tuple(shape)[self.axes :], dt)
        return output

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) <= self.axes:
            raise NetworkError(
                f"Shared: input features must have more than {self.axes} axes, got {shape}. "
                "The first are places, the others go to the layer."
            )
        return (*shape[: self.axes], *self.layer.output_shape(shape[self.axes :]))

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        y, state, _ = self.run(x, state)
        return y, state

    def run(
        self, x: Tensor, state: State = None, record: tuple[str, ...] = ()
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Like `forward`, and traces of the layer's state fields."""
        check_sequence("Shared", x, self.shape)
        places = tuple(x.shape[1 : 2 + self.axes])
        rows = x.reshape(len(x), -1, *x.shape[2 + self.axes :])
        folded = pytree.tree_map(lambda leaf: _fold(leaf, len(places)), state)
        inner: Any = self.layer
        y, after, *more = inner.run(rows, folded, record) if record else inner(rows, folded)
        traces: dict[str, Tensor] = more[0] if more else {}
        return (
            y.reshape(len(y), *places, *y.shape[2:]),
            pytree.tree_map(lambda leaf: _unfold(leaf, places), after),
            {k: t.reshape(len(t), *places, *t.shape[2:]) for k, t in traces.items()},
        )

    def initial_state(self, batch: int) -> State:
        assert self.shape is not None
        places = (batch, *self.shape[: self.axes])
        first = self.layer.initial_state(math.prod(places))
        return pytree.tree_map(lambda leaf: _unfold(leaf, places), first)

    def field_names(self) -> tuple[str, ...]:
        """State fields of the layer that can be recorded."""
        names = getattr(self.layer, "field_names", tuple)
        return tuple(names())

    def extra_repr(self) -> str:
        return "" if self.axes == 1 else f"axes={self.axes}"


def _fold(leaf: Any, axes: int) -> Any:
    return leaf.flatten(0, axes - 1) if isinstance(leaf, Tensor) else leaf


def _unfold(leaf: Any, places: Shape) -> Any:
    return leaf.unflatten(0, places) if isinstance(leaf, Tensor) else leaf
