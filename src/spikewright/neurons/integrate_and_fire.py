"""Integrate-and-fire: a membrane without leak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from spikewright.neurons.base import Neuron
from spikewright.neurons.firing import RESET_TO_VALUE, Firing, fire
from spikewright.neurons.parameters import Tensors, Value


@dataclass(frozen=True)
class IFParams:
    """Thresholds in the units of ``v``; ``r`` is what a unit of input adds to ``v``."""

    v_threshold: Value = 1.0
    v_reset: Value = 0.0
    r: Value = 1.0


class IFState(NamedTuple):
    """Membrane potential, (batch, *n)."""

    v: Tensor


class IFCoefficients(NamedTuple):
    """What `IF` steps multiply and compare with."""

    v_threshold: Tensor
    v_reset: Tensor
    r: Tensor


def if_coefficients(p: Tensors[IFParams], dt: float) -> IFCoefficients:
    """The parameters themselves: nothing decays."""
    return IFCoefficients(p.v_threshold, p.v_reset, p.r)


def if_step(
    x: Tensor, state: IFState, c: IFCoefficients, firing: Firing = RESET_TO_VALUE
) -> tuple[Tensor, IFState]:
    """Advance integrate-and-fire neurons by one step.

    v <- v + r x;  s = 1 where v > v_threshold
    Order: x[t] reaches s[t] in the same step; the reset acts in the same step.

    Args:
        x: input, (batch, *n); the charge of one step, not a rate.
    """
    spikes, v = fire(state.v + c.r * x, c.v_threshold, c.v_reset, firing)
    return spikes, IFState(v)


class IF(Neuron):
    """Integrate-and-fire neurons: ``dv/dt = r I`` with the input as charge per step.

    Order of update: see `if_step`. Parameters: see `IFParams`. Gradient of a spike: `surrogate`.

    >>> import torch
    >>> neuron = IF(v_threshold=1.0, firing=Firing(reset="subtract"))
    >>> _ = neuron.build((1,), dt=1e-3)
    >>> spikes, state = neuron(torch.full((5, 1, 1), 0.7))
    >>> spikes.flatten()
    tensor([0., 1., 1., 0., 1.])
    """

    Params, State = IFParams, IFState
    coefficients, step = staticmethod(if_coefficients), staticmethod(if_step)
