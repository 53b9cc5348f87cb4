"""Leaky integrator: a readout without spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from spikewright.neurons.base import Neuron
from spikewright.neurons.lif import LIFState, MembraneOrder, membrane
from spikewright.neurons.order import EULER_LEAST_TAU, check_order
from spikewright.neurons.parameters import Tensors, Value, time_constant


@dataclass(frozen=True)
class LIParams:
    """``tau_mem`` in s; ``v_leak`` in the units of ``v``; ``r`` turns input into potential."""

    tau_mem: Value = time_constant(20e-3)
    v_leak: Value = 0.0
    r: Value = 1.0


class LICoefficients(NamedTuple):
    """What `LI` steps multiply and compare with."""

    decay: Tensor
    gain: Tensor
    v_leak: Tensor


def li_coefficients(
    p: Tensors[LIParams], dt: float, order: MembraneOrder = "exact"
) -> LICoefficients:
    """Decay and gain of `spikewright.neurons.lif.membrane`, and the leak."""
    return LICoefficients(*membrane(p.tau_mem, p.r, dt, order), p.v_leak)


def li_step(x: Tensor, state: LIFState, c: LICoefficients) -> tuple[Tensor, LIFState]:
    """Advance leaky integrators by one step; the output is the membrane.

    v <- v_leak + decay (v - v_leak) + gain x
    Order: x[t] reaches the output v[t] in the same step.
    """
    v = c.v_leak + c.decay * (state.v - c.v_leak) + c.gain * x
    return v, LIFState(v)


class LI(Neuron):
    """Leaky integrators, a readout: ``tau_mem dv/dt = v_leak - v + r I``, output ``v``.

    Order of update: see `li_step`. Parameters: see `LIParams`. Smooth: the gradient is exact.

    Args:
        order: ``"exact"`` for input constant over a step, or ``"euler"``; see
            `spikewright.neurons.lif.membrane`.
        **options: see `Neuron`.

    >>> import torch
    >>> readout = LI(tau_mem=10e-3)
    >>> _ = readout.build((1,), dt=10e-3)
    >>> v, state = readout(torch.ones(2, 1, 1))
    >>> v.flatten()
    tensor([0.6321, 0.8647])
    """

    Params, State = LIParams, LIFState
    coefficients, step = staticmethod(li_coefficients), staticmethod(li_step)
    spiking = False

    def __init__(self, *, order: MembraneOrder = "exact", **options: Any) -> None:
        checked = check_order("LI", order, MembraneOrder)
        super().__init__(options_of_step={"order": checked}, **options)
        self.least_tau = EULER_LEAST_TAU if order == "euler" else self.least_tau

    @staticmethod
    def initial(params: Tensors[LIParams]) -> LIFState:
        return LIFState(params.v_leak)
