"""A clipped linear unit that fires at random."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from spikewright.engine.spike import spike
from spikewright.neurons.stochastic import (
    MeanCoefficients,
    MeanState,
    StochasticNeuron,
    follow_mean,
)


def stochastic_relu_step(
    inputs: Any, state: MeanState, c: MeanCoefficients
) -> tuple[Tensor, MeanState]:
    """Spikes with the probability of the mean input, clipped to [0, 1].

    v <- v + (x - v) max(1 / n, least);  s = 1 where u < v, u uniform in (0, 1)
    Order: x[t] reaches s[t] in the same step; nothing is reset.

    Args:
        inputs: x and u, both (batch, *n).
    """
    x, u = inputs
    state = follow_mean(x, state, c)
    return spike(state.v - u), state


class StochasticReLU(StochasticNeuron):
    """A stochastic bit stream: spikes are independent, with probability clip(mean input, 0, 1).

    The rate over many steps is the clipped ReLU of the input. Order of update: see
    `stochastic_relu_step`. Parameters: see `MeanParams`. Gradient of a spike: `surrogate`; the
    rule `spikewright.learning.Stochastic` needs none. Runs on all backends and in streams.

    Source: Biswas, Saraswat, Ganguly, arXiv:2207.09755, 2022 (forward part of its neuron; the
    equations are our reading of the abstract).

    >>> import torch
    >>> layer = StochasticReLU()
    >>> _ = layer.build((3,), dt=1e-3)
    >>> spikes, _ = layer(torch.tensor([-0.5, 0.5, 1.5]).expand(1000, 1, 3))
    >>> [round(rate, 1) for rate in spikes.mean((0, 1)).tolist()]
    [0.0, 0.5, 1.0]
    """

    step = staticmethod(stochastic_relu_step)
