"""All features in one axis."""

from __future__ import annotations

import math

from torch import Tensor

from spikewright.connections.base import Connection
from spikewright.engine.layer import Shape, State
from spikewright.engine.products.events import hand_on
from spikewright.engine.program import Same
from spikewright.errors import NetworkError


class Flatten(Connection):
    """Join feature axes into one, the last running fastest.

    Args:
        first, last: the feature axes to join, both included; negative ones count from the end.
            By default all of them.

    Shapes: x (time, batch, *features) to (time, batch, product of features), with the axes
    before ``first`` and after ``last`` kept.

    Raises:
        NetworkError: the features have no such axes.

    >>> import torch
    >>> y, state = Flatten()(torch.zeros(10, 2, 3, 4, 4))
    >>> y.shape
    torch.Size([10, 2, 48])
    """

    def __init__(self, first: int = 0, last: int = -1) -> None:
        super().__init__()
        self.first, self.last = first, last

    def output_shape(self, shape: Shape) -> Shape:
        rank = len(shape)
        first, last = (axis + rank if axis < 0 else axis for axis in (self.first, self.last))
        if (self.first, self.last) != (0, -1) and not 0 <= first <= last < rank:
            raise NetworkError(
                f"Flatten: input features must have the axes {self.first} to {self.last}, got "
                f"{shape}. Choose axes of the input, without time and batch."
            )
        return (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        self.refuse_state(state)
        x = self.accept(x)
        return hand_on(x, x.reshape(*x.shape[:2], *self.output_shape(tuple(x.shape[2:])))), None

    def reads_events(self) -> bool:
        return True

    def part(self) -> Same:
        return Same()

    def extra_repr(self) -> str:
        whole = (self.first, self.last) == (0, -1)
        return "" if whole else f"first={self.first}, last={self.last}"
