"""A block of the features."""

from __future__ import annotations

from torch import Tensor

from spikewright.connections.base import Connection
from spikewright.engine.layer import Shape, State
from spikewright.errors import NetworkError, ParameterError


class Select(Connection):
    """Hand on a block of the features: y[t] = x[t][first:last, ...].

    Args:
        *ranges: (first, last) for each feature axis, the last left out; ``None`` for a whole axis.

    Shapes: x (time, batch, *features) to (time, batch, *block).

    Raises:
        ParameterError: a range that is no pair of whole numbers with 0 <= first < last.
        NetworkError: the features have other axes, or a range goes beyond one.

    >>> import torch
    >>> y, _ = Select((1, 3), None)(torch.zeros(10, 2, 4, 5))
    >>> y.shape
    torch.Size([10, 2, 2, 5])
    """

    def __init__(self, *ranges: tuple[int, int] | None) -> None:
        super().__init__()
        for given in ranges:
            if given is not None and not _is_range(given):
                raise ParameterError(
                    f"Select: a range must be (first, last) with 0 <= first < last, got {given}. "
                    "Pass for example (0, 3), or None for a whole axis."
                )
        self.ranges = ranges

    def output_shape(self, shape: Shape) -> Shape:
        pairs = zip(shape, self.ranges, strict=False)
        if len(shape) != len(self.ranges) or any(r and r[1] > size for size, r in pairs):
            raise NetworkError(
                f"Select: input features must have {len(self.ranges)} axes that hold the ranges "
                f"{self.ranges}, got {shape}. Give one range for each axis, within its size."
            )
        return tuple(
            size if given is None else given[1] - given[0]
            for size, given in zip(shape, self.ranges, strict=True)
        )

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        self.refuse_state(state)
        x = self.accept(x)
        block = (slice(None) if given is None else slice(*given) for given in self.ranges)
        return x[(slice(None), slice(None), *block)], None

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.ranges))


def _is_range(given: tuple[int, ...]) -> bool:
    whole = len(given) == 2 and all(isinstance(place, int) for place in given)
    return whole and 0 <= given[0] < given[1]
