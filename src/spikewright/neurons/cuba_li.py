"""Current-based leaky integrator: a readout without spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.neurons.base import Neuron
from spikewright.neurons.cuba import (
    CubaLinear,
    CubaState,
    Order,
    cuba_integrate,
    cuba_linear,
)
from spikewright.neurons.order import EULER_LEAST_TAU, check_order
from spikewright.neurons.parameters import Tensors, Value, time_constant


@dataclass(frozen=True)
class CubaLIParams:
    """Times in s; ``v_leak`` in the units of ``v``; ``r`` turns current into potential."""

    tau_mem: Value = time_constant(20e-3)
    tau_syn: Value = time_constant(5e-3)
    v_leak: Value = 0.0
    r: Value = 1.0


def cuba_li_coefficients(p: Tensors[CubaLIParams], dt: float, order: Order = "exact") -> CubaLinear:
    """Decays and gain of `spikewright.neurons.cuba`."""
    return cuba_linear(p.tau_mem, p.tau_syn, p.r, p.v_leak, dt, order)


def cuba_li_step(
    x: Tensor, state: CubaState, c: CubaLinear, order: Order = "exact"
) -> tuple[Tensor, CubaState]:
    """Advance current-based integrators by one step; the output is the membrane.

    (v, i) <- the order of update in `spikewright.neurons.cuba`
    Order: x[t] reaches the output v[t] in the same step ("exact", "euler") or the next ("held").
    """
    v, i = cuba_integrate(x, state, c, order)
    return v, CubaState(v, i)


class CubaLI(Neuron):
    """Current-based leaky integrators, a readout: those of `CubaLIF` without a threshold.

    Parameters: see `CubaLIParams`. Smooth: the gradient is exact.

    Args:
        order: order of update, ``"exact"``, ``"held"`` or ``"euler"``.
        **options: see `Neuron`.

    >>> readout = CubaLI(tau_mem=6e-6, tau_syn=6e-6)
    >>> _ = readout.build((3,), dt=1e-6)
    >>> v, state = readout(torch.ones(4, 1, 3))
    >>> v.shape
    torch.Size([4, 1, 3])
    """

    Params, State = CubaLIParams, CubaState
    coefficients, step = staticmethod(cuba_li_coefficients), staticmethod(cuba_li_step)
    spiking = False

    def __init__(self, *, order: Order = "exact", **options: Any) -> None:
        checked = check_order("CubaLI", order, Order)
        super().__init__(options_of_step={"order": checked}, **options)
        self.least_tau = EULER_LEAST_TAU if order == "euler" else self.least_tau

    @staticmethod
    def initial(params: Tensors[CubaLIParams]) -> CubaState:
        return CubaState(params.v_leak, torch.zeros_like(params.v_leak))
