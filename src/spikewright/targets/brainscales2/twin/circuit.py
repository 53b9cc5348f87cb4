"""The circuits in use as one step for the engine: synaptic currents, membrane, threshold.

    tau_mem dv/dt = leak (v_leak - v) + i_exc - i_inh + slope exp((v - v_exponential) / slope) - w
    tau_syn di/dt = -i,        tau_adapt dw/dt = a (v - v_leak) - w

A spike where v > v_threshold sets v to v_reset for the refractory period and adds b to w. The
linear part is exact over a step, noise is added before it. Currents are kept in weight codes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright.engine import trees
from spikewright.engine.tracing.trace import Step
from spikewright.neurons.adex import (
    AdExCoefficients,
    AdExState,
    AdExTerms,
    adex_advance,
    integrating_gains,
)
from spikewright.neurons.extras import RefractoryState, with_noise, with_refractory
from spikewright.neurons.firing import RESET_TO_VALUE

Values = Mapping[str, NDArray[np.float64]]
Flags = Mapping[str, NDArray[np.bool_]]
NEVER = 1e9
"""LSB; a potential that no membrane reaches."""
LEAST_SLOPE = 0.01
"""LSB; the exponential term is no steeper, whatever its code."""


class Circuits(NamedTuple):
    """What the engine needs of the circuits in use; arrivals are in weight codes, (n, 2).

    Args:
        step: takes (arrivals, noise), or arrivals alone where there is no noise; its outputs are
            spikes and membranes.
        state: of circuits at rest.
    """

    step: Step
    coefficients: Any
    state: RefractoryState


def make_circuits(values: Values, switches: Flags, noise: float, dt: float) -> Circuits:
    """The circuits as the engine runs them.

    Args:
        values: physical values by the names of `TRANSFER`, (n,), LSB and s.
        switches: by the names of `SWITCHES`, (n,).
        noise: standard deviation of a resting membrane, LSB.
        dt: s.
    """
    terms = AdExTerms(True, *(bool(switches[name].any()) for name in _TERMS))
    t = {name: torch.from_numpy(value) for name, value in values.items()}
    leak = torch.from_numpy(switches["leak"].astype(np.float64))
    c: Any = _coefficients(t, switches, leak, dt)
    rest, still = t["v_leak"], torch.zeros(len(leak), dtype=torch.float64)
    state = AdExState(rest, torch.zeros(len(leak), 2, dtype=torch.float64), still)
    if noise:
        # Stationary: after the decay of a step the variance is what it was before the noise.
        c = (c, noise * torch.sqrt(torch.expm1(2 * dt / t["tau_mem"])))
    c = (c, torch.round(t["refractory"] / dt))
    trees_of = c, RefractoryState(state, still)
    narrow = (trees.map_leaves(lambda value: value.to(torch.float32), tree) for tree in trees_of)
    return Circuits(_assemble(terms, bool(noise)), *narrow)


_TERMS = ("exponential", "subthreshold", "triggered")


def _coefficients(
    t: Mapping[str, Tensor], switches: Flags, leak: Tensor, dt: float
) -> AdExCoefficients:
    on = {name: torch.from_numpy(flags) for name, flags in switches.items()}
    tau_syn = torch.stack([t["tau_syn_exc"], t["tau_syn_inh"]], dim=-1)
    weight = torch.stack([t["gain_exc"], -t["gain_inh"]], dim=-1)
    tau_mem = t["tau_mem"]
    gain, _ = integrating_gains(tau_mem[:, None], tau_syn, leak[:, None], dt)
    _, hold = integrating_gains(tau_mem, tau_mem, leak, dt)
    decay_adapt = torch.exp(-dt / t["tau_adapt"])
    return AdExCoefficients(
        torch.exp(-dt * leak / tau_mem),
        torch.exp(-dt / tau_syn),
        weight * gain,
        hold,
        decay_adapt,
        torch.where(on["subthreshold"], t["a"], 0.0) * (1 - decay_adapt),
        t["v_leak"],
        torch.where(on["firing"], t["v_threshold"], NEVER),
        t["v_reset"],
        torch.where(on["exponential"], t["v_exponential"], NEVER),
        torch.where(on["exponential"], t["slope"].clamp(min=LEAST_SLOPE), 1.0),
        torch.where(on["triggered"], t["b"], 0.0),
    )


def _circuit_step(
    x: Tensor, state: AdExState, c: AdExCoefficients, terms: AdExTerms
) -> tuple[Tensor, AdExState]:
    j = state.i + x
    drive = reduce(add, (c.gain * j).unbind(-1))
    spikes, v, w = adex_advance(state.v, state.w, drive, c, RESET_TO_VALUE, terms)
    return spikes, AdExState(v, c.decay_syn * j, w)


@functools.cache
def _assemble(terms: AdExTerms, noise: bool) -> Step:
    """One function object for each combination, so that the engine finds its kernel again."""
    step: Step = functools.partial(_circuit_step, terms=terms)
    step = with_refractory(with_noise(step) if noise else step)

    def showing_step(x: Any, state: RefractoryState, c: Any) -> tuple[Any, RefractoryState]:
        spikes, state = step(x, state, c)
        return (spikes, state.neuron.v), state

    return showing_step
