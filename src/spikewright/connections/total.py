"""The sum along a feature axis."""

from __future__ import annotations

from torch import Tensor

from spikewright.connections.base import Connection
from spikewright.engine.layer import Shape, State
from spikewright.errors import NetworkError


class Total(Connection):
    """Sum over the first feature axis: y[t] = gain * sum_i x[t][i].

    Args:
        gain: factor on the sum.

    Shapes: x (time, batch, places, *features) to (time, batch, *features).

    Raises:
        NetworkError: the features have fewer than two axes.

    >>> import torch
    >>> Total()(torch.ones(1, 1, 3, 2))[0].flatten()
    tensor([3., 3.])
    """

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = float(gain)

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) < 2:
            raise NetworkError(
                f"Total: input features must be (places, *features), got {shape}. "
                "Give the features an axis to sum over."
            )
        return shape[1:]

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        self.refuse_state(state)
        return self.gain * self.accept(x).sum(2), None

    def extra_repr(self) -> str:
        return f"gain={self.gain:g}"
