"""Integrator: a readout that adds up its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from spikewright.neurons.base import Neuron
from spikewright.neurons.integrate_and_fire import IFState
from spikewright.neurons.parameters import Tensors, Value


@dataclass(frozen=True)
class IntegratorParams:
    """``r`` is what a unit of input adds to ``v``."""

    r: Value = 1.0


class IntegratorCoefficients(NamedTuple):
    """What `Integrator` steps multiply with."""

    r: Tensor


def integrator_coefficients(p: Tensors[IntegratorParams], dt: float) -> IntegratorCoefficients:
    """The parameter itself: nothing decays."""
    return IntegratorCoefficients(p.r)


def integrator_step(x: Tensor, state: IFState, c: IntegratorCoefficients) -> tuple[Tensor, IFState]:
    """Advance integrators by one step; the output is the membrane.

    v <- v + r x
    Order: x[t] reaches the output v[t] in the same step.

    Args:
        x: input, (batch, *n); the charge of one step, not a rate.
    """
    v = state.v + c.r * x
    return v, IFState(v)


class Integrator(Neuron):
    """Integrators, a readout without leak: ``dv/dt = r I`` with the input as charge per step.

    Order of update: see `integrator_step`. Parameters: see `IntegratorParams`. Smooth: the
    gradient is exact. ``I`` in NIR.

    >>> import torch
    >>> readout = Integrator(r=0.5)
    >>> _ = readout.build((1,), dt=1e-3)
    >>> readout(torch.ones(3, 1, 1))[0].flatten()
    tensor([0.5000, 1.0000, 1.5000])
    """

    Params, State = IntegratorParams, IFState
    coefficients, step = staticmethod(integrator_coefficients), staticmethod(integrator_step)
    spiking = False
