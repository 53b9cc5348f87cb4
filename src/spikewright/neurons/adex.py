"""Adaptive exponential integrate-and-fire, current-based."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikewright.neurons.base import Neuron
from spikewright.neurons.exponential import relative_expm1
from spikewright.neurons.firing import RESET_TO_VALUE, Firing, fire
from spikewright.neurons.parameters import Tensors, Value, time_constant

MOST_EXPONENT = 20.0
"""Of the exponential term, so that it stays finite; a membrane so far up rises past any threshold
within a step."""


@dataclass(frozen=True)
class AdExParams:
    """Times in s; potentials, slope, ``w`` and ``b`` in the units of ``v``; ``a`` has none."""

    tau_mem: Value = time_constant(20e-3)
    tau_syn: Value = time_constant(5e-3)
    tau_adapt: Value = time_constant(100e-3)
    v_threshold: Value = 1.0
    v_leak: Value = 0.0
    v_reset: Value = 0.0
    v_exponential: Value = 0.7
    slope: Value = 0.1
    a: Value = 0.1
    b: Value = 0.1
    r: Value = 1.0


@dataclass(frozen=True)
class AdExTerms:
    """Which terms of the equations there are; a term left out costs nothing.

    Args:
        leak: ``v_leak - v``; without it the membrane integrates.
        exponential: the upswing above ``v_exponential``.
        subthreshold: adaptation that follows the membrane, with ``a``.
        triggered: adaptation by ``b`` at each spike.
    """

    leak: bool = True
    exponential: bool = True
    subthreshold: bool = True
    triggered: bool = True

    @property
    def adapting(self) -> bool:
        """Whether there is an adaptation current."""
        return self.subthreshold or self.triggered


class AdExState(NamedTuple):
    """Membrane potential, synaptic current and adaptation current, (batch, *n)."""

    v: Tensor
    i: Tensor
    w: Tensor


class AdExCoefficients(NamedTuple):
    """What `AdEx` steps multiply and compare with.

    ``gain`` and ``hold`` turn the synaptic current at the start of a step, and a current that is
    constant over it, into potential at its end.
    """

    decay_mem: Tensor
    decay_syn: Tensor
    gain: Tensor
    hold: Tensor
    decay_adapt: Tensor
    gain_adapt: Tensor
    v_leak: Tensor
    v_threshold: Tensor
    v_reset: Tensor
    v_exponential: Tensor
    slope: Tensor
    b: Tensor


ALL_TERMS = AdExTerms()


def adex_coefficients(
    p: Tensors[AdExParams], dt: float, terms: AdExTerms = ALL_TERMS
) -> AdExCoefficients:
    """Exact decays and gains of the linear part over a step; see `integrating_gains`."""
    leak = torch.full_like(p.tau_mem, float(terms.leak))
    gain, hold = integrating_gains(p.tau_mem, p.tau_syn, leak, dt)
    decay_adapt = torch.exp(-dt / p.tau_adapt)
    return AdExCoefficients(
        torch.exp(-dt * leak / p.tau_mem),
        torch.exp(-dt / p.tau_syn),
        p.r * gain,
        hold,
        decay_adapt,
        p.a * (1 - decay_adapt),
        p.v_leak,
        p.v_threshold,
        p.v_reset,
        p.v_exponential,
        p.slope,
        p.b,
    )


def integrating_gains(
    tau_mem: Tensor, tau_syn: Tensor, leak: Tensor, dt: float
) -> tuple[Tensor, Tensor]:
    """What a unit of synaptic current, and of constant current, adds to a membrane in one step.

    The solution of ``tau_mem dv/dt = -leak v + i`` after dt, with ``tau_syn di/dt = -i`` and with
    constant i; for ``leak = 1`` the first is `spikewright.neurons.exponential.synaptic_gain`.

    Args:
        tau_mem, tau_syn: s, broadcastable to each other.
        leak: 1 with leak, 0 without.
        dt: s.
    """
    rate = leak / tau_mem
    synaptic = torch.exp(-dt / tau_syn) * relative_expm1(dt * (1 / tau_syn - rate))
    return (dt / tau_mem) * synaptic, (dt / tau_mem) * relative_expm1(-dt * rate)


def adex_advance(
    v: Tensor, w: Tensor, drive: Tensor, c: AdExCoefficients, firing: Firing, terms: AdExTerms
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes, membrane and adaptation after one step.

    Args:
        drive: what synaptic currents add to the membrane, (batch, *n).
    """
    after = c.v_leak + c.decay_mem * (v - c.v_leak) + drive
    if terms.exponential:
        exponent = torch.clamp((v - c.v_exponential) / c.slope, max=MOST_EXPONENT)
        after = after + c.hold * (c.slope * torch.exp(exponent))
    if terms.adapting:
        after = after - c.hold * w
        w = c.decay_adapt * w
    if terms.subthreshold:
        w = w + c.gain_adapt * (v - c.v_leak)
    spikes, after = fire(after, c.v_threshold, c.v_reset, firing)
    return spikes, after, w + c.b * spikes if terms.triggered else w


def adex_step(
    x: Tensor,
    state: AdExState,
    c: AdExCoefficients,
    firing: Firing = RESET_TO_VALUE,
    terms: AdExTerms = ALL_TERMS,
) -> tuple[Tensor, AdExState]:
    """Advance adaptive exponential neurons by one step.

    j = i + x;  v <- v_leak + decay (v - v_leak) + gain j + hold (slope exp((v - v_e) / slope) - w)
    i <- decay_syn j;  w <- decay_adapt w + gain_adapt (v - v_leak) + b s
    s = 1 where v > v_threshold
    Order: x[t] reaches s[t] in the same step; leak and synaptic current are exact over the step,
    the exponential term and w are held at their values of its start; the reset acts in the same
    step, a spike's b on the membrane in the next.

    Args:
        x: input spikes times their weights, (batch, *n).
    """
    j = state.i + x
    spikes, v, w = adex_advance(state.v, state.w, c.gain * j, c, firing, terms)
    return spikes, AdExState(v, c.decay_syn * j, w)


class AdEx(Neuron):
    """Adaptive exponential integrate-and-fire neurons with current-based synapses.

    ``tau_mem dv/dt = v_leak - v + slope exp((v - v_exponential) / slope) - w + r i``,
    ``tau_adapt dw/dt = a (v - v_leak) - w``, ``tau_syn di/dt = -i``; input spikes add to ``i``, a
    spike of its own adds ``b`` to ``w``. ``v_threshold`` is where the upswing is cut. Brette and
    Gerstner, J. Neurophysiology 94 (2005), with all currents divided by the leak conductance.
    Order of update: see `adex_step`; the exponential term is explicit, so dt should be a small
    part of tau_mem. Parameters: see `AdExParams`. Gradient of a spike: `surrogate`.

    Args:
        leak, exponential, subthreshold, triggered: whether the term is there; see `AdExTerms`.
        **options: see `Neuron`.

    >>> neuron = AdEx(v_threshold=1.5, b=0.3)
    >>> _ = neuron.build((1,), dt=1e-3)
    >>> spikes, _ = neuron(torch.full((200, 1, 1), 0.4))
    >>> times = spikes.flatten().nonzero().flatten()
    >>> bool(times[1] - times[0] < times[-1] - times[-2])  # it fires ever more slowly
    True
    """

    Params, State = AdExParams, AdExState
    coefficients, step = staticmethod(adex_coefficients), staticmethod(adex_step)

    def __init__(
        self,
        *,
        leak: bool = True,
        exponential: bool = True,
        subthreshold: bool = True,
        triggered: bool = True,
        **options: Any,
    ) -> None:
        terms = AdExTerms(leak, exponential, subthreshold, triggered)
        super().__init__(options_of_step={"terms": terms}, **options)
        self.terms = terms

    @staticmethod
    def initial(params: Tensors[AdExParams]) -> AdExState:
        zero = torch.zeros_like(params.v_leak)
        return AdExState(params.v_leak, zero, zero)
