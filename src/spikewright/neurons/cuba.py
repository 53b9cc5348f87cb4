"""The linear part of current-based neurons: a synaptic current that drives a membrane.

    tau_mem dv/dt = v_leak - v + r i        tau_syn di/dt = -i + tau_syn sum of input spikes

Three named orders of update discretise it:

- ``"exact"``: the solution over one step, input arriving at its start.
  j = i + x;  v <- v_leak + a (v - v_leak) + k j;  i <- b j
- ``"held"``: the current is held over the step and input arrives at its end, so a spike reaches
  the membrane one step later (hxtorch.snn, arXiv 2212.12210).
  v <- v_leak + a (v - v_leak) + r (1 - a) i;  i <- b i + x
- ``"euler"``: the order of the BrainScaleS-2 models with EventProp.
  i <- i (1 - dt / tau_syn) + x;  v <- v + dt / tau_mem (v_leak - v + r i)

with a = exp(-dt / tau_mem), b = exp(-dt / tau_syn) and k from
`spikewright.neurons.exponential.synaptic_gain`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from spikewright.neurons.exponential import synaptic_gain

Order = Literal["exact", "held", "euler"]


class CubaState(NamedTuple):
    """Membrane potential and synaptic current, (batch, *n)."""

    v: Tensor
    i: Tensor


class CubaLinear(NamedTuple):
    """What one step multiplies with; every order of update is written with these."""

    decay_mem: Tensor
    decay_syn: Tensor
    gain: Tensor
    v_leak: Tensor


def cuba_linear(
    tau_mem: Tensor, tau_syn: Tensor, r: Tensor, v_leak: Tensor, dt: float, order: Order
) -> CubaLinear:
    """Coefficients of the linear part for an order of update; times in s."""
    if order == "euler":
        return CubaLinear(1 - dt / tau_mem, 1 - dt / tau_syn, r * (dt / tau_mem), v_leak)
    decays = torch.exp(-dt / tau_mem), torch.exp(-dt / tau_syn)
    if order == "held":
        return CubaLinear(*decays, r * -torch.expm1(-dt / tau_mem), v_leak)
    return CubaLinear(*decays, r * synaptic_gain(tau_mem, tau_syn, dt), v_leak)


def cuba_integrate(
    x: Tensor, state: CubaState, c: CubaLinear, order: Order
) -> tuple[Tensor, Tensor]:
    """Membrane and current after one step, before any threshold."""
    if order == "exact":
        j = state.i + x
        return c.v_leak + c.decay_mem * (state.v - c.v_leak) + c.gain * j, c.decay_syn * j
    i = c.decay_syn * state.i + x
    drive = state.i if order == "held" else i
    return c.v_leak + c.decay_mem * (state.v - c.v_leak) + c.gain * drive, i
