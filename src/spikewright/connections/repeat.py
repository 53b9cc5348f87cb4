"""One place handed on as many."""

from __future__ import annotations

from torch import Tensor

from spikewright.connections.base import Connection, positive
from spikewright.engine.layer import Shape, State
from spikewright.errors import NetworkError


class Repeat(Connection):
    """Hand the same features to each of several places: y[t][i] = x[t][0].

    Args:
        places: how many.

    Shapes: x (time, batch, 1, *features) to (time, batch, places, *features), without a copy.

    Raises:
        ParameterError: ``places`` is no positive integer.
        NetworkError: the first feature axis does not have length 1.

    >>> import torch
    >>> Repeat(3)(torch.ones(1, 1, 1, 2))[0].shape
    torch.Size([1, 1, 3, 2])
    """

    def __init__(self, places: int) -> None:
        super().__init__()
        self.places = positive("Repeat", "places", places)

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) < 2 or shape[0] != 1:
            raise NetworkError(
                f"Repeat: input features must be (1, *features), got {shape}. "
                "Select one place first."
            )
        return (self.places, *shape[1:])

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        self.refuse_state(state)
        x = self.accept(x)
        return x.expand(*x.shape[:2], self.places, *x.shape[3:]), None

    def extra_repr(self) -> str:
        return f"{self.places}"
