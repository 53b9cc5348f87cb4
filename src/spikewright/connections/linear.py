"""All-to-all connections."""

from __future__ import annotations

from torch import Tensor

from spikewright.connections.base import positive
from spikewright.connections.weights import Weighted
from spikewright.engine.layer import Shape, State
from spikewright.engine.products.costs import Path, Product, check_path, costs_in_force
from spikewright.engine.products.linear import Way, choose_way, linear
from spikewright.engine.program import MatrixProduct
from spikewright.errors import NetworkError


class AllToAll(Weighted):
    """Base of the connections from each of a row of inputs to each output."""

    out_features: int

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


class Linear(AllToAll):
    """Weighted sum of all inputs, at each step: y[t] = W x[t] + b.

    Args:
        in_features: number of inputs; ``None`` to take it from the first input shape.
        out_features: number of outputs.
        bias: whether to add a learnable b.
        path: ``"dense"``, ``"events"`` (one row of weights for each spike of the input) or
            ``"auto"``, the cheaper one; see `spikewright.engine.products.linear`.

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

    def __init__(
        self,
        in_features: int | None,
        out_features: int,
        bias: bool = True,
        path: Path = "auto",
    ) -> None:
        super().__init__()
        self.path: Path = check_path("Linear", path)
        self.out_features = positive("Linear", "out_features", out_features)
        self.add_weights(in_features, out_features, bias)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        return self.map_sequence(lambda x: linear(x, self.weight, self.bias, self.path), x, state)

    def choice(self, x: Tensor) -> Way:
        """How the product with ``x`` runs, and why."""
        return choose_way(self.accept(x), self.weight, self.path)

    def reads_events(self) -> bool:
        size = Product(1, self.in_features or 1, self.out_features)
        return self.path == "events" or (
            self.path == "auto" and size.worth_reading(costs_in_force())
        )

    def part(self) -> MatrixProduct:
        return MatrixProduct(self.weight, self.bias)

    def extra_repr(self) -> str:
        path = "" if self.path == "auto" else f", path={self.path!r}"
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}{path}"


def require_vector(layer: Weighted, shape: Shape) -> None:
    """Raise NetworkError unless the feature shape is one axis of the right size."""
    if len(shape) != 1:
        raise NetworkError(
            f"{type(layer).__name__}: input features must be one axis, (in_features,), "
            f"got {shape}. Put a Flatten before the layer."
        )
    layer.check_inputs(shape)
