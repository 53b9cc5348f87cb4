"""All-to-all connections with a delay for each synapse."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.connections.base import positive
from spikewright.connections.delayed import Delayed, DelayValues, check_broadcast
from spikewright.connections.linear import AllToAll
from spikewright.engine.layer import Shape, State
from spikewright.engine.program import DelayedProduct


class DelayedLinear(AllToAll, Delayed):
    """Weighted sum of delayed inputs, each synapse with a delay of its own.

    y_o[t] = sum_i W_oi ((1 - f_oi) x_i[t - k_oi] + f_oi x_i[t - k_oi - 1]) + b_o, with
    delay_oi / dt = k_oi + f_oi, k whole and 0 <= f < 1; with ``rounded``, f = 0 and k is the
    nearest step. Computed as one convolution over time with maximum / dt + 1 taps.
    Order: a delay of 0 passes x[t] on in the same step.

    Args:
        in_features: number of inputs; ``None`` to take it from the first input shape.
        out_features: number of outputs.
        delays: seconds, 0 or more; one for all synapses or a tensor that broadcasts to
            (out_features, in_features). Learnable delays are as many as given here.
        maximum: the longest delay that may occur, s; ``None`` for the largest of ``delays``.
            Learnable delays stay between 0 and this.
        learnable: whether delays are parameters, with the gradient of the interpolation.
        rounded: use whole steps.
        spread: standard deviation, in steps, of a Gaussian around each delay while training; see
            `Delay`.
        bias: whether to add a learnable b.

    Shapes: x (time, batch, in_features) to (time, batch, out_features). State: the last inputs,
    (batch, maximum / dt rounded up, in_features), zeros at a fresh start.

    Raises:
        ParameterError: a delay is negative, NaN, infinite or above ``maximum``; a size is no
            positive integer; ``spread`` is not positive or its delays not learnable.
        NetworkError: the layer is called before it has a dt.

    Source: Hammouamri et al. 2024, "Learning delays in spiking neural networks using dilated
    convolutions with learnable spacings", ICLR. Theirs is the Gaussian: normalised, shrunk from
    half the longest delay to 0.5 steps in the first quarter of training, and delays rounded in
    evaluation (from memory).

    >>> layer = DelayedLinear(3, 2, delays=torch.rand(2, 3) * 20e-3, maximum=25e-3)
    >>> layer.build((3,), dt=1e-3)
    (2,)
    >>> y, state = layer(torch.zeros(10, 4, 3))
    >>> y.shape, state.shape
    (torch.Size([10, 4, 2]), torch.Size([4, 25, 3]))
    """

    def __init__(  # noqa: PLR0913 - that of Linear, and what a delay has
        self,
        in_features: int | None,
        out_features: int,
        delays: DelayValues,
        maximum: float | None = None,
        *,
        learnable: bool = False,
        rounded: bool = False,
        spread: float | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.out_features = positive("DelayedLinear", "out_features", out_features)
        self.add_delays(delays, maximum, learnable, rounded, spread)
        self.add_weights(in_features, out_features, bias)

    def output_shape(self, shape: Shape) -> Shape:
        output = super().output_shape(shape)
        given, needed = tuple(self.fraction.shape), (self.out_features, shape[0])
        check_broadcast("DelayedLinear", given, needed, "(out_features, in_features)")
        return output

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, Tensor]:
        depth = self.depth
        x = self.accept(x)
        history = self.history(x, state)
        y = functional.conv1d(history.permute(1, 2, 0), self._kernel(depth), self.bias)
        return y.permute(2, 0, 1), self.next_state(history)

    def part(self) -> DelayedProduct:
        return DelayedProduct(self._kernel(self.depth), self.bias)

    def extra_repr(self) -> str:
        sizes = f"{self.in_features}, {self.out_features}"
        return f"{sizes}, {Delayed.extra_repr(self)}, bias={self.bias is not None}"

    def _kernel(self, depth: int) -> Tensor:
        """The taps (out, in, depth + 1); the last one meets x[t]."""
        if self.spreads:
            return self.weight.unsqueeze(-1) * self.gaussian().to(self.weight.dtype)
        k, part = (value.expand_as(self.weight) for value in self.taps())
        part = part.to(self.weight.dtype)
        taps = torch.stack([self.weight * (1 - part), self.weight * part], -1)
        index = torch.stack([depth - k, depth - k - 1], -1)
        return taps.new_zeros(*self.weight.shape, depth + 1).scatter(-1, index, taps)
