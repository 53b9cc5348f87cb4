"""Leaky integrate-and-fire with delta synapses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from spikewright.neurons.base import Neuron
from spikewright.neurons.firing import RESET_TO_VALUE, Firing, fire
from spikewright.neurons.order import EULER_LEAST_TAU, check_order
from spikewright.neurons.parameters import Tensors, Value, time_constant

MembraneOrder = Literal["exact", "euler"]


@dataclass(frozen=True)
class LIFParams:
    """``tau_mem`` in s; potentials in the units of ``v``; ``r`` turns input into potential."""

    tau_mem: Value = time_constant(20e-3)
    v_threshold: Value = 1.0
    v_leak: Value = 0.0
    v_reset: Value = 0.0
    r: Value = 1.0


class LIFState(NamedTuple):
    """Membrane potential, (batch, *n)."""

    v: Tensor


class LIFCoefficients(NamedTuple):
    """What `LIF` steps multiply and compare with."""

    decay: Tensor
    gain: Tensor
    v_threshold: Tensor
    v_leak: Tensor
    v_reset: Tensor


def membrane(
    tau_mem: Tensor, r: Tensor, dt: float, order: MembraneOrder = "exact"
) -> tuple[Tensor, Tensor]:
    """Decay and gain of a membrane, ``tau_mem dv/dt = -v + r x``, over a step; times in s.

    ``"exact"``: decay = exp(-dt / tau_mem), gain = r (1 - decay), the solution for an input that
    is constant over the step. ``"euler"``: decay = 1 - dt / tau_mem, gain = r dt / tau_mem.
    """
    if order == "euler":
        return 1 - dt / tau_mem, r * (dt / tau_mem)
    return torch.exp(-dt / tau_mem), r * -torch.expm1(-dt / tau_mem)


def lif_coefficients(p: Tensors[Any], dt: float, order: MembraneOrder = "exact") -> LIFCoefficients:
    """Decay and gain of `membrane`, and the potentials."""
    decay, gain = membrane(p.tau_mem, p.r, dt, order)
    return LIFCoefficients(decay, gain, p.v_threshold, p.v_leak, p.v_reset)


def lif_integrate(x: Tensor, v: Tensor, c: LIFCoefficients) -> Tensor:
    """v <- v_leak + decay (v - v_leak) + gain x."""
    return c.v_leak + c.decay * (v - c.v_leak) + c.gain * x


def lif_step(
    x: Tensor, state: LIFState, c: LIFCoefficients, firing: Firing = RESET_TO_VALUE
) -> tuple[Tensor, LIFState]:
    """Advance leaky integrate-and-fire neurons by one step.

    v <- v_leak + decay (v - v_leak) + gain x;  s = 1 where v > v_threshold
    Order: x[t] reaches s[t] in the same step; the reset acts in the same step.

    Args:
        x: input current, (batch, *n), constant over the step.
    """
    spikes, v = fire(lif_integrate(x, state.v, c), c.v_threshold, c.v_reset, firing)
    return spikes, LIFState(v)


class LIF(Neuron):
    """Leaky integrate-and-fire neurons: ``tau_mem dv/dt = v_leak - v + r I``.

    Order of update: see `lif_step`. Parameters: see `LIFParams`. Gradient of a spike:
    `surrogate`.

    Args:
        order: ``"exact"`` for input constant over a step, or ``"euler"``; see `membrane`.
        **options: see `Neuron`.

    >>> neuron = LIF(tau_mem=10e-3)
    >>> _ = neuron.build((1,), dt=1e-3)
    >>> spikes, state = neuron(torch.full((12, 1, 1), 1.5))
    >>> int(spikes.flatten().argmax())  # v(t) = 1.5 (1 - exp(-t / tau)) passes 1 at 10.99 ms
    10
    """

    Params, State = LIFParams, LIFState
    coefficients, step = staticmethod(lif_coefficients), staticmethod(lif_step)

    def __init__(self, *, order: MembraneOrder = "exact", **options: Any) -> None:
        checked = check_order("LIF", order, MembraneOrder)
        super().__init__(options_of_step={"order": checked}, **options)
        self.least_tau = EULER_LEAST_TAU if order == "euler" else self.least_tau

    @staticmethod
    def initial(params: Tensors[LIFParams]) -> LIFState:
        return LIFState(params.v_leak)
