"""Leaky integrate-and-fire with an adaptive threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from spikewright.neurons.base import Neuron
from spikewright.neurons.firing import RESET_TO_VALUE, Firing, fire
from spikewright.neurons.lif import LIFCoefficients, lif_coefficients, lif_integrate
from spikewright.neurons.parameters import Tensors, Value, time_constant


@dataclass(frozen=True)
class AdaptiveLIFParams:
    """Times in s; potentials in the units of ``v``; each spike lifts the threshold by ``beta``."""

    tau_mem: Value = time_constant(20e-3)
    tau_adapt: Value = time_constant(200e-3)
    beta: Value = 0.2
    v_threshold: Value = 1.0
    v_leak: Value = 0.0
    v_reset: Value = 0.0
    r: Value = 1.0


class AdaptiveLIFState(NamedTuple):
    """Membrane potential and adaptation, (batch, *n)."""

    v: Tensor
    a: Tensor


class AdaptiveLIFCoefficients(NamedTuple):
    """What `AdaptiveLIF` steps multiply and compare with."""

    lif: LIFCoefficients
    decay_adapt: Tensor
    beta: Tensor


def adaptive_lif_coefficients(p: Tensors[AdaptiveLIFParams], dt: float) -> AdaptiveLIFCoefficients:
    """Those of `LIF` and ``decay_adapt = exp(-dt / tau_adapt)``."""
    return AdaptiveLIFCoefficients(lif_coefficients(p, dt), torch.exp(-dt / p.tau_adapt), p.beta)


def adaptive_lif_step(
    x: Tensor,
    state: AdaptiveLIFState,
    c: AdaptiveLIFCoefficients,
    firing: Firing = RESET_TO_VALUE,
) -> tuple[Tensor, AdaptiveLIFState]:
    """Advance adaptive neurons by one step.

    v <- v_leak + decay (v - v_leak) + gain x;  s = 1 where v > v_threshold + beta a
    a <- decay_adapt a + s;  a reset by subtraction takes the lifted threshold away
    Order: x[t] reaches s[t] in the same step, a spike lifts the threshold of the next; the reset
    acts in the same step.

    Args:
        x: input current, (batch, *n), constant over the step.
    """
    v = lif_integrate(x, state.v, c.lif)
    threshold = c.lif.v_threshold + c.beta * state.a
    spikes, v = fire(v, threshold, c.lif.v_reset, firing)
    return spikes, AdaptiveLIFState(v, c.decay_adapt * state.a + spikes)


class AdaptiveLIF(Neuron):
    """Leaky integrate-and-fire neurons whose threshold rises by ``beta`` with each spike.

    ``tau_mem dv/dt = v_leak - v + r I``, ``tau_adapt da/dt = -a``, threshold
    ``v_threshold + beta a``. Bellec et al., NeurIPS 2018. Order of update: see
    `adaptive_lif_step`. Parameters: see `AdaptiveLIFParams`. Gradient of a spike: `surrogate`.

    >>> neuron = AdaptiveLIF(tau_mem=5e-3, beta=0.5)
    >>> _ = neuron.build((1,), dt=1e-3)
    >>> spikes, _ = neuron(torch.full((60, 1, 1), 3.0))
    >>> times = spikes.flatten().nonzero().flatten()
    >>> bool(times[1] - times[0] < times[-1] - times[-2])  # it fires ever more slowly
    True
    """

    Params, State = AdaptiveLIFParams, AdaptiveLIFState
    coefficients, step = staticmethod(adaptive_lif_coefficients), staticmethod(adaptive_lif_step)

    @staticmethod
    def initial(params: Tensors[AdaptiveLIFParams]) -> AdaptiveLIFState:
        return AdaptiveLIFState(params.v_leak, torch.zeros_like(params.v_leak))
