"""An output of which one neuron fires at each step, as often as softmax says."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikewright.errors import BackendError, ParameterError
from spikewright.neurons.stochastic import (
    MeanCoefficients,
    MeanState,
    StochasticNeuron,
    follow_mean,
)


def softmax_winner_step(
    inputs: Any, state: MeanState, c: MeanCoefficients, *, race: bool = False
) -> tuple[Tensor, MeanState]:
    """One spike in each sample, from neuron k with probability softmax(v)_k.

    v <- v + (x - v) max(1 / n, least);  E = -log(u), u uniform in (0, 1)
    Greatest noisy score: argmax(v - log E), the Gumbel-max draw; race: argmin(E / exp(v)), the
    first of neurons that escape at rate exp(v). Both name the same winner; the lowest of equals.
    Order: x[t] reaches s[t] in the same step; nothing is reset.

    Args:
        inputs: x and u, both (batch, *n); the neurons of a sample compete.
        race: whether to let them race.
    """
    x, u = inputs
    state = follow_mean(x, state, c)
    v = state.v.flatten(1).double()
    wait = -torch.log(u.flatten(1).double())
    late = wait / torch.exp(v - v.amax(1, keepdim=True)) if race else torch.log(wait) - v
    winner = torch.zeros_like(v).scatter_(1, late.argmin(1, keepdim=True), 1.0)
    p = torch.softmax(v, 1)
    spikes = winner + (p - p.detach())
    return spikes.to(x.dtype).reshape(x.shape), state


class SoftmaxWinner(StochasticNeuron):
    """Winner-take-all: exactly one neuron of a sample fires at each step, drawn by softmax.

    Order of update: see `softmax_winner_step`. Parameters: see `MeanParams`. Gradient of a spike:
    that of softmax(v). Neurons of a layer depend on each other, so it runs in the reference loop
    only, on CPU or GPU; a stream or a compiler refuses it by name.

    Args:
        race: draw the winner as the first of neurons with escape rate exp(v), not by Gumbel-max;
            the statistics are the same.
        **options: of `Neuron`; ``forget``.

    Source: Biswas, Saraswat, Ganguly, arXiv:2207.09755, 2022.

    >>> layer, _ = SoftmaxWinner(), torch.manual_seed(0)
    >>> _ = layer.build((3,), dt=1e-3)
    >>> spikes, _ = layer(torch.tensor([0.0, 1.0, 2.0]).expand(2000, 1, 3))
    >>> [round(rate, 1) for rate in spikes.mean((0, 1)).tolist()]
    [0.1, 0.2, 0.7]
    """

    step = staticmethod(softmax_winner_step)

    def __init__(self, *, race: bool = False, **options: Any) -> None:
        backend = options.pop("backend", "auto")
        if backend not in ("auto", "reference"):
            raise ParameterError(
                f"SoftmaxWinner: backend must be 'auto' or 'reference', got {backend!r}: its "
                "neurons depend on each other. Leave it out."
            )
        super().__init__(backend="reference", options_of_step={"race": bool(race)}, **options)
        self.race = bool(race)

    def part(self) -> Any:
        raise BackendError(
            "SoftmaxWinner: the layer must be one of neurons that do not depend on each other to "
            "be compiled, got a winner-take-all. Run the network with net(x, state)."
        )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, race={self.race}"
