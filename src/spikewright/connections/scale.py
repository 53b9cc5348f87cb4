"""A factor for each feature."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from spikewright.connections.base import Connection
from spikewright.engine.layer import Shape, State
from spikewright.engine.program import Pointwise
from spikewright.errors import NetworkError, ParameterError


class Scale(Connection):
    """Multiply each feature by a factor of its own: y[t] = scale x[t].

    Args:
        scale: one factor for all features, or a tensor that broadcasts to the feature shape.
        learnable: whether the factors are parameters.

    Shapes: x (time, batch, *features) to the same.

    Raises:
        ParameterError: a factor is not finite.
        NetworkError: at build, the factors do not broadcast to the features.

    >>> y, state = Scale(torch.tensor([1.0, 2.0]))(torch.ones(5, 3, 2))
    >>> y[0, 0]
    tensor([1., 2.])
    """

    step_alone = True
    scale: Tensor

    def __init__(self, scale: float | Tensor = 1.0, learnable: bool = False) -> None:
        super().__init__()
        value = torch.as_tensor(scale).detach().clone()
        if not value.is_floating_point():
            value = value.to(torch.get_default_dtype())
        if not bool(value.isfinite().all()):
            raise ParameterError(
                f"Scale: scale must be finite, got {value[~value.isfinite()][0].item()}. "
                "Pass a number or a tensor of numbers."
            )
        if learnable:
            self.scale = nn.Parameter(value)
        else:
            self.register_buffer("scale", value)

    @property
    def learnable(self) -> bool:
        """Whether the factors are parameters."""
        return isinstance(self.scale, nn.Parameter)

    def output_shape(self, shape: Shape) -> Shape:
        own = tuple(self.scale.shape)
        try:
            fits = torch.broadcast_shapes(own, shape) == shape
        except RuntimeError:
            fits = False
        if not fits:
            raise NetworkError(
                f"Scale: scale must be one number or broadcast to the input features {shape}, "
                f"got {own}. Give one factor for each, or one for all."
            )
        return shape

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        return self.map_sequence(lambda x: x * self.scale, x, state)

    def part(self) -> Pointwise:
        assert self.shape is not None
        return Pointwise(_multiply, self.shape, (), (), (self.scale,))

    def extra_repr(self) -> str:
        text = f"scale={tuple(self.scale.shape)}"
        return text + (", learnable=True" if self.learnable else "")


def _multiply(x: Tensor, state: tuple[()], c: tuple[Any]) -> tuple[Tensor, tuple[()]]:
    return x * c[0], state
