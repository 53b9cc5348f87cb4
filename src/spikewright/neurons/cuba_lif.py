"""Current-based leaky integrate-and-fire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

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
from spikewright.neurons.firing import RESET_TO_VALUE, Firing, fire
from spikewright.neurons.order import EULER_LEAST_TAU, check_order
from spikewright.neurons.parameters import Tensors, Value, time_constant


@dataclass(frozen=True)
class CubaLIFParams:
    """Times in s; potentials in the units of ``v``; ``r`` turns current into potential."""

    tau_mem: Value = time_constant(20e-3)
    tau_syn: Value = time_constant(5e-3)
    v_threshold: Value = 1.0
    v_leak: Value = 0.0
    v_reset: Value = 0.0
    r: Value = 1.0


class CubaLIFCoefficients(NamedTuple):
    """What `CubaLIF` steps multiply and compare with."""

    linear: CubaLinear
    v_threshold: Tensor
    v_reset: Tensor


def cuba_lif_coefficients(
    p: Tensors[CubaLIFParams], dt: float, order: Order = "exact"
) -> CubaLIFCoefficients:
    """Decays and gain of `spikewright.neurons.cuba`, and the potentials."""
    linear = cuba_linear(p.tau_mem, p.tau_syn, p.r, p.v_leak, dt, order)
    return CubaLIFCoefficients(linear, p.v_threshold, p.v_reset)


def cuba_lif_step(
    x: Tensor,
    state: CubaState,
    c: CubaLIFCoefficients,
    firing: Firing = RESET_TO_VALUE,
    order: Order = "exact",
) -> tuple[Tensor, CubaState]:
    """Advance current-based neurons by one step.

    (v, i) <- the order of update in `spikewright.neurons.cuba`;  s = 1 where v > v_threshold
    Order: x[t] reaches s[t] in the same step ("exact", "euler") or the next ("held"); the reset
    acts in the same step.

    Args:
        x: input spikes times their weights, (batch, *n).
    """
    v, i = cuba_integrate(x, state, c.linear, order)
    spikes, v = fire(v, c.v_threshold, c.v_reset, firing)
    return spikes, CubaState(v, i)


class CubaLIF(Neuron):
    """Current-based leaky integrate-and-fire neurons.

    ``tau_mem dv/dt = v_leak - v + r i``, ``tau_syn di/dt = -i``, input spikes add to ``i``.
    Parameters: see `CubaLIFParams`. Gradient of a spike: `surrogate`.

    Args:
        order: order of update, ``"exact"``, ``"held"`` or ``"euler"``; see
            `spikewright.neurons.cuba`.
        **options: see `Neuron`.

    >>> neuron = CubaLIF(tau_mem=6e-6, tau_syn=6e-6)
    >>> _ = neuron.build((1,), dt=1e-6)
    >>> spike = torch.zeros(20, 1, 1)
    >>> spike[0] = 2.0
    >>> _, _, traces = neuron.run(spike, record=("v",))  # an alpha function, peak 2 / e at 6 µs
    >>> int(traces["v"].flatten().argmax()) + 1, round(float(traces["v"].max()), 4)
    (6, 0.7358)
    """

    Params, State = CubaLIFParams, CubaState
    coefficients, step = staticmethod(cuba_lif_coefficients), staticmethod(cuba_lif_step)

    def __init__(self, *, order: Order = "exact", **options: Any) -> None:
        checked = check_order("CubaLIF", order, Order)
        super().__init__(options_of_step={"order": checked}, **options)
        self.least_tau = EULER_LEAST_TAU if order == "euler" else self.least_tau

    @staticmethod
    def initial(params: Tensors[CubaLIFParams]) -> CubaState:
        return CubaState(params.v_leak, torch.zeros_like(params.v_leak))
