"""All-to-all connections."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from spikewright.connections.base import positive
from spikewright.connections.weights import Weighted
from spikewright.engine.layer import Shape, State
from spikewright.errors import NetworkError


class Linear(Weighted):
    """Weighted sum of all inputs, at each step: y[t] = W x[t] + b.

    Args:
        in_features: number of inputs; ``None`` to take it from the first input shape.
        out_features: number of outputs.
        bias: whether to add a learnable b.

    Shapes: x (time, batch, in_features) to (time, batch, out_features). ``weight`` is
    (out_features, in_features).

    Raises:
        ParameterError: a size is no positive integer.

    >>> import torch
    >>> y, state = Linear(None, 2)(torch.zeros(10, 4, 3))
    >>> y.shape
    torch.Size([10, 4, 2])
    """

    step_alone = True

    def __init__(self, in_features: int | None, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.out_features = positive("Linear", "out_features", out_features)
        self.add_weights(in_features, out_features, bias)

    @property
    def in_features(self) -> int | None:
        """Number of inputs; ``None`` while open."""
        return self.inputs

    def weight_shape(self, inputs: int) -> Shape:
        return (self.out_features, inputs)

    def output_shape(self, shape: Shape) -> Shape:
        require_vector(self, shape)
        return (self.out_features,)

    def prepare(self) -> None:
        assert self.shape is not None
        self.open(self.shape[0])

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        return self.map_steps(self._apply_weights, x, state)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"

    def _apply_weights(self, rows: Tensor) -> Tensor:
        return functional.linear(rows, self.weight, self.bias)


def require_vector(layer: Weighted, shape: Shape) -> None:
    """Raise NetworkError unless the feature shape is one axis of the right size."""
    if len(shape) != 1:
        raise NetworkError(
            f"{type(layer).__name__}: input features must be one axis, (in_features,), "
            f"got {shape}. Put a Flatten before the layer."
        )
    layer.check_inputs(shape)
