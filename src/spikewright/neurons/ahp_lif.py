"""Leaky integrate-and-fire with a slow after-hyperpolarising (AHP) current."""

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
class AHPLIFParams:
    """Times in s; potentials in the units of ``v``; each spike takes ``beta`` off the current."""

    tau_mem: Value = time_constant(20e-3)
    tau_ahp: Value = time_constant(700e-3)
    beta: Value = 0.1
    v_threshold: Value = 1.0
    v_leak: Value = 0.0
    v_reset: Value = 0.0
    r: Value = 1.0


class AHPLIFState(NamedTuple):
    """Membrane potential and after-hyperpolarising current, (batch, *n)."""

    v: Tensor
    i_ahp: Tensor


class AHPLIFCoefficients(NamedTuple):
    """What `AHPLIF` steps multiply and compare with."""

    lif: LIFCoefficients
    decay_ahp: Tensor
    beta: Tensor


def ahp_lif_coefficients(p: Tensors[AHPLIFParams], dt: float) -> AHPLIFCoefficients:
    """Those of `LIF` and ``decay_ahp = exp(-dt / tau_ahp)``."""
    return AHPLIFCoefficients(lif_coefficients(p, dt), torch.exp(-dt / p.tau_ahp), p.beta)


def ahp_lif_step(
    x: Tensor,
    state: AHPLIFState,
    c: AHPLIFCoefficients,
    firing: Firing = RESET_TO_VALUE,
) -> tuple[Tensor, AHPLIFState]:
    """Advance neurons with an after-hyperpolarising current by one step.

    v <- v_leak + decay (v - v_leak) + gain (x + i_ahp);  s = 1 where v > v_threshold
    i_ahp <- decay_ahp i_ahp - beta s
    Order: x[t] reaches s[t] in the same step; the reset acts in the same step and leaves i_ahp;
    a spike hyperpolarises from the next step on.

    Args:
        x: input current, (batch, *n), constant over the step.
    """
    v = lif_integrate(x + state.i_ahp, state.v, c.lif)
    spikes, v = fire(v, c.lif.v_threshold, c.lif.v_reset, firing)
    return spikes, AHPLIFState(v, c.decay_ahp * state.i_ahp - c.beta * spikes)


class AHPLIF(Neuron):
    """Leaky integrate-and-fire neurons that each of their spikes inhibits for a long time.

    ``tau_mem dv/dt = v_leak - v + r (I + i_ahp)``, ``tau_ahp di_ahp/dt = -i_ahp``; a spike takes
    ``beta`` off ``i_ahp``, which no reset clears: it remembers the spikes of the last ``tau_ahp``.
    Rao, Plank, Wild and Maass, Nature Machine Intelligence 4, 2022. In `AdaptiveLIF` the same
    memory lifts the threshold; here it is a current, as chips have it. Order of update: see
    `ahp_lif_step`. Parameters: see `AHPLIFParams`. Gradient of a spike: `surrogate`.

    >>> neuron = AHPLIF(tau_mem=5e-3, tau_ahp=200e-3, beta=0.3)
    >>> _ = neuron.build((1,), dt=1e-3)
    >>> spikes, _ = neuron(torch.full((60, 1, 1), 3.0))
    >>> times = spikes.flatten().nonzero().flatten()
    >>> bool(times[1] - times[0] < times[-1] - times[-2])  # it fires ever more slowly
    True
    """

    Params, State = AHPLIFParams, AHPLIFState
    coefficients, step = staticmethod(ahp_lif_coefficients), staticmethod(ahp_lif_step)

    @staticmethod
    def initial(params: Tensors[AHPLIFParams]) -> AHPLIFState:
        return AHPLIFState(params.v_leak, torch.zeros_like(params.v_leak))
