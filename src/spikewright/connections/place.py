"""Features put into a larger block of zeros."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor
from torch.nn import functional

from spikewright.connections.base import Connection
from spikewright.engine.layer import Shape, State
from spikewright.errors import NetworkError, ParameterError


class Place(Connection):
    """Put the features at a place of a larger block, zeros around them.

    Edges that meet in a `Graph` are summed: two layers of `Place` that lead to one layer join
    their features there.

    Args:
        shape: the larger block, one size for each feature axis.
        at: where the features begin in it; the origin by default.

    Shapes: x (time, batch, *features) to (time, batch, *shape).

    Raises:
        ParameterError: ``at`` has another number of axes, or places that are no whole numbers from
            0 on.
        NetworkError: the features do not fit there.

    >>> import torch
    >>> Place((4,), at=(1,))(torch.ones(1, 1, 2))[0].flatten()
    tensor([0., 1., 1., 0.])
    """

    def __init__(self, shape: Iterable[int], at: Iterable[int] | None = None) -> None:
        super().__init__()
        self.block = tuple(shape)
        self.at = tuple(0 for _ in self.block) if at is None else tuple(at)
        whole = all(isinstance(place, int) and place >= 0 for place in self.at)
        if len(self.at) != len(self.block) or not whole:
            raise ParameterError(
                f"Place: at must be a place for each of the axes {self.block}, got {self.at}. "
                "Pass whole numbers from 0."
            )

    def output_shape(self, shape: Shape) -> Shape:
        ends = [place + size for place, size in zip(self.at, shape, strict=False)]
        if len(shape) != len(self.block) or any(
            end > size for end, size in zip(ends, self.block, strict=True)
        ):
            raise NetworkError(
                f"Place: input features must fit into {self.block} at {self.at}, got {shape}. "
                "Make the block larger, or place them elsewhere."
            )
        return self.block

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        self.refuse_state(state)
        x = self.accept(x)
        sizes = zip(self.at, x.shape[2:], self.block, strict=True)
        edges = [(at, block - at - size) for at, size, block in sizes]
        return functional.pad(x, [side for pair in reversed(edges) for side in pair]), None

    def extra_repr(self) -> str:
        return f"{self.block}, at={self.at}"
