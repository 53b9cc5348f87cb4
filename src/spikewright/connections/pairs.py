"""All pairs of some objects with a question: the first layer of a relational network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.connections.base import positive
from spikewright.connections.weights import Weighted
from spikewright.engine.layer import Shape, State
from spikewright.errors import NetworkError


class Pairs(Weighted):
    """A weighted sum of each pair of objects i <= j and a question, with the same weights.

    y[ij] = m_i m_j m_q (U o_i + V o_j + W q), for the gates m of the objects and the question.
    Pairs with an object whose gate is 0 give nothing, whatever the object holds. The three
    products are worked out once an object, not once a pair.

    Args:
        out_features: number of outputs of a pair.

    Shapes: x (time, batch, objects + 1, features + 1) to (time, batch, pairs, out_features) with
    pairs = objects (objects + 1) / 2 in the order (0, 0), (0, 1), ... (1, 1), ... The last row of
    x is the question, the last column the gates. ``weight`` is (out_features, 3, features): U, V
    and W.

    Raises:
        ParameterError: ``out_features`` is no positive integer.
        NetworkError: the features are no matrix of at least two rows and two columns, or have
            not as many columns as the weights.

    Source: Santoro et al., "A simple neural network module for relational reasoning", 2017; the
    gates stand for the inhibitory mask of Rao et al., Nature Machine Intelligence 4, 2022.

    >>> layer = Pairs(4)
    >>> layer.build((21, 9), dt=1e-3), layer.weight.shape
    ((210, 4), torch.Size([4, 3, 8]))
    """

    def __init__(self, out_features: int) -> None:
        super().__init__()
        self.out_features = positive("Pairs", "out_features", out_features)
        self.add_weights(None, out_features, bias=False)

    def weight_shape(self, inputs: int) -> Shape:
        return (self.out_features, 3, inputs)

    def stored_inputs(self, shape: Shape) -> int:
        return shape[2]

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 2 or min(shape) < 2 or self.inputs not in (None, shape[1] - 1):
            columns = "features" if self.inputs is None else self.inputs
            raise NetworkError(
                f"Pairs: input features must be (objects + 1, {columns} + 1), got {shape}. "
                "The last row is the question, the last column holds the gates."
            )
        objects = shape[0] - 1
        return (objects * (objects + 1) // 2, self.out_features)

    def prepare(self) -> None:
        assert self.shape is not None
        self.open(self.shape[1] - 1)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        self.refuse_state(state)
        x = self.accept(x)
        count, gates = x.shape[2] - 1, x[..., -1:]
        objects, question = x[..., :-1].split([count, 1], dim=2)
        first, second, asked = self.weight.unbind(1)
        i, j = torch.triu_indices(count, count, device=x.device)
        left = functional.linear(objects, first) + functional.linear(question, asked)
        right = functional.linear(objects, second)
        open_ = gates[:, :, i] * gates[:, :, j] * gates[:, :, -1:]
        return (left[:, :, i] + right[:, :, j]) * open_, None

    def extra_repr(self) -> str:
        return f"{self.out_features}"
