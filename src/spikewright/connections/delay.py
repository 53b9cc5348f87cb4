"""One delay for each input: an axon's."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.connections.delayed import Delayed, DelayValues, check_broadcast
from spikewright.engine.layer import Shape, State
from spikewright.engine.program import Delayed as StepDelayed
from spikewright.errors import BackendError


class Delay(Delayed):
    """Delay each input feature by a time of its own.

    y[t] = (1 - f) x[t - k] + f x[t - k - 1], delay / dt = k + f, k whole and 0 <= f < 1.
    With ``rounded``, f = 0 and k is the nearest step (the even one of two equally near).
    Order: a delay of 0 passes x[t] on in the same step.

    Args:
        delays: seconds, 0 or more; one for all features or a tensor that broadcasts to the
            feature shape. Learnable delays are as many as given here.
        maximum: the longest delay that may occur, s; ``None`` for the largest of ``delays``.
            Learnable delays stay between 0 and this.
        learnable: whether delays are parameters. Their gradient is that of the interpolation,
            dy[t]/d(delay) = (x[t - k - 1] - x[t - k]) / dt, also when ``rounded``.
        rounded: use whole steps, so that spikes stay spikes.
        spread: standard deviation, in steps, of a Gaussian around each delay while training;
            `spikewright.learning.SpreadSchedule` shrinks it. Then y[t] = sum over k of g_k x[t - k]
            with g_k in proportion to exp(-(k - delay / dt)^2 / (2 spread^2)) and of sum 1, whose
            gradient feels spikes further off; in evaluation delays act rounded.

    Shapes: x (time, batch, *features) to the same. State: the last inputs,
    (batch, maximum / dt rounded up, *features), zeros at a fresh start.

    Raises:
        ParameterError: a delay is negative, NaN, infinite or above ``maximum``, or ``spread`` is
            not positive or its delays not learnable.
        NetworkError: the layer is called before it has a dt.

    Source: the Gaussian is that of Hammouamri et al., see `DelayedLinear`.

    >>> layer = Delay(2e-3)
    >>> shape = layer.build((1,), dt=1e-3)
    >>> y, state = layer(torch.tensor([1.0, 0.0, 0.0, 0.0]).reshape(4, 1, 1))
    >>> y.flatten()
    tensor([0., 0., 1., 0.])
    """

    def __init__(
        self,
        delays: DelayValues,
        maximum: float | None = None,
        learnable: bool = False,
        rounded: bool = False,
        spread: float | None = None,
    ) -> None:
        super().__init__()
        self.add_delays(delays, maximum, learnable, rounded, spread)

    def output_shape(self, shape: Shape) -> Shape:
        check_broadcast("Delay", tuple(self.fraction.shape), shape, "the input features")
        return shape

    def weight_dtype(self) -> torch.dtype | None:
        return None

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, Tensor]:
        depth = self.depth
        x = self.accept(x)
        history = self.history(x, state)
        if self.spreads:
            return self._blur(history), self.next_state(history)
        k, part = self.taps()
        part = part.to(x.dtype)
        ends = torch.arange(depth, depth + x.shape[0], device=x.device)
        # (time, 1, *features) index, expanded over the batch without a copy.
        index = (ends.reshape(-1, *[1] * (x.dim() - 1)) - k).expand_as(x)
        y = (1 - part) * history.gather(0, index) + part * history.gather(0, index - 1)
        return y, self.next_state(history)

    def _blur(self, history: Tensor) -> Tensor:
        """The sum over past steps, each with its share of the Gaussian."""
        features = history.shape[2:]
        kernel = self.gaussian().to(history.dtype)
        kernel = kernel.expand(*features, kernel.shape[-1]).reshape(-1, 1, kernel.shape[-1])
        rows = history.flatten(2).permute(1, 2, 0)
        y = functional.conv1d(rows, kernel, groups=len(kernel))
        return y.permute(2, 0, 1).unflatten(2, features)

    def part(self) -> StepDelayed:
        assert self.shape is not None
        if self.spreads:
            raise BackendError(
                "Delay: the layer must be in evaluation mode to be compiled, got training with "
                f"spread={self.spread}. Call net.eval() first."
            )
        return StepDelayed(*self.taps(), self.shape, self.depth)
