"""All features in one axis."""

from __future__ import annotations

import math

from torch import Tensor

from spikewright.connections.base import Connection
from spikewright.engine.layer import Shape, State
from spikewright.engine.products.events import hand_on
from spikewright.engine.program import Same


class Flatten(Connection):
    """Join the feature axes into one, the last running fastest.

    Shapes: x (time, batch, *features) to (time, batch, product of features).

    >>> import torch
    >>> y, state = Flatten()(torch.zeros(10, 2, 3, 4, 4))
    >>> y.shape
    torch.Size([10, 2, 48])
    """

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        self.refuse_state(state)
        x = self.accept(x)
        return hand_on(x, x.reshape(*x.shape[:2], math.prod(x.shape[2:]))), None

    def reads_events(self) -> bool:
        return True

    def part(self) -> Same:
        return Same()
