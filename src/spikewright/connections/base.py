"""What all connections share: checking a sequence, and folding time into the batch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.engine.checks import check_sequence
from spikewright.engine.layer import Layer, Shape, State
from spikewright.errors import NetworkError, ParameterError, ShapeError


def fold(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a function of ``(n, *features)`` to each step of each sample of a sequence at once.

    Args:
        function: maps (n, *features) to (n, *others), row by row.
        x: (time, batch, *features), of any strides.

    Returns:
        (time, batch, *others).

    >>> fold(lambda rows: rows.sum(1), torch.ones(4, 2, 3)).shape
    torch.Size([4, 2])
    """
    return function(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def positive(where: str, name: str, value: int) -> int:
    """Return ``value`` if it is a positive integer, else raise ParameterError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ParameterError(
            f"{where}: {name} must be a positive integer, got {value!r}. "
            f"Pass the number as a Python int, 1 or more."
        )
    return value


AXES = {1: "length", 2: "height, width"}


def require_axes(where: str, shape: Shape, axes: int) -> None:
    """Raise NetworkError unless the feature shape is channels and that many axes."""
    if len(shape) != axes + 1:
        raise NetworkError(
            f"{where}: input features must be (channels, {AXES[axes]}), got {shape}. "
            f"Reshape the input, for one channel to (time, batch, 1, {AXES[axes]})."
        )


def check_state(where: str, state: State, shape: tuple[int, ...], what: str) -> None:
    """Raise ShapeError unless the state is ``None`` or a tensor of that shape.

    Args:
        what: words for what the tensor holds, and for its axes.
    """
    if state is None or (isinstance(state, Tensor) and tuple(state.shape) == shape):
        return
    got = tuple(state.shape) if isinstance(state, Tensor) else type(state).__name__
    raise ShapeError(
        f"{where}: state must be {what} = {shape}, got {got}. "
        "Pass None to start with a batch of another size."
    )


class Connection(Layer):
    """Base of the connections. A direct call binds the feature shape, as ``build`` does.

    Attributes:
        step_alone: whether y[t] is a function of x[t] alone, so that the same input at all
            steps has the same output at all steps.
    """

    step_alone: ClassVar[bool] = False

    def prepare(self) -> None:
        """Make what depends on the input's shape; called once ``shape`` is bound."""

    def build(self, shape: Shape, dt: float) -> Shape:
        output = super().build(shape, dt)
        self.prepare()
        return output

    def accept(self, x: Tensor) -> Tensor:
        """Check a sequence against the bound shape and give it a floating dtype.

        Integers and booleans are converted to the dtype of the layer's weights (to torch's
        default dtype where it has none).

        Raises:
            ShapeError: rank, sizes or dtype of ``x`` do not fit.
        """
        where = type(self).__name__
        check_sequence(where, x, self.shape)
        if self.shape is None:
            shape = tuple(x.shape[2:])
            self.output_shape(shape)
            self.shape = shape
            self.prepare()
        return as_dtype(where, x, self.weight_dtype())

    def weight_dtype(self) -> torch.dtype | None:
        """The dtype that ``x`` must have; ``None`` where any floating dtype will do."""
        tensors = chain(self.parameters(), self.buffers())
        return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)

    def map_steps(
        self, function: Callable[[Tensor], Tensor], x: Tensor, state: State
    ) -> tuple[Tensor, None]:
        """The forward pass of a layer that treats all steps alike and keeps no state.

        An input that is constant by its strides (a constant current) is worked out once, and so
        is the gradient; the output is then a view with stride 0 in time.
        """
        return self.map_sequence(lambda x: fold(function, x), x, state)

    def map_sequence(
        self, function: Callable[[Tensor], Tensor], x: Tensor, state: State
    ) -> tuple[Tensor, None]:
        """`map_steps` for a function of whole sequences, (time, batch, *features)."""
        self.refuse_state(state)
        x = self.accept(x)
        if self.step_alone and len(x) > 1 and x.stride(0) == 0:
            y = function(x[:1])
            return y.expand(len(x), *y.shape[1:]), None
        return function(x), None

    def refuse_state(self, state: State) -> None:
        """Raise ShapeError unless ``state`` is ``None``."""
        if state is not None:
            raise ShapeError(
                f"{type(self).__name__}: state must be None, as the layer keeps none, got "
                f"{type(state).__name__}. Pass each layer what it returned itself."
            )


def as_dtype(where: str, x: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Convert integers to ``dtype``; refuse a floating ``x`` of another dtype."""
    if not (x.is_floating_point() or x.is_complex()):
        return x.to(dtype or torch.get_default_dtype())
    if dtype in (None, x.dtype) or torch.is_autocast_enabled(x.device.type):
        return x
    raise ShapeError(
        f"{where}: input must be {dtype}, as the weights are, got {x.dtype}. "
        f"Convert it with x.to({dtype}), or the network with net.to({x.dtype})."
    )
