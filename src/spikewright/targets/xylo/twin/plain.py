"""The chip step by step, as the judge: every addition saturates in the chip's own order.

    i <- decay(sat(... sat(sat(i + n_1 w_1) + n_2 w_2) ...)), sources in the order of their places,
         inputs first, then hidden neurons; n_j events of a source, w_j its weight, shifted
    v <- sat(decay(v) + sum of i)                                     (core 1)
    v <- sat(v + sat(sat(decay(v) - v + sum of i) + bias))            (core 2)
    s = min(floor(v / threshold), most) where v >= threshold;  v <- v - s threshold

    decay(v) = v - (v >> dash), or one less where that shift gives 0 and v is positive; the shift
    rounds down, so negative numbers always move.

Spikes of hidden neurons arrive one step later, at hidden neurons and outputs alike. Neurons fire in
the order of their places; what an alias adds to a neuron counts among its 31 events, and goes on
along that neuron's own alias if its turn is still to come.

Source: measured on xylosim 0.1.3; 0 differences in `tests/targets/xylo`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spikewright.targets.xylo.chips import LEAST_STATE, MOST_HIDDEN, MOST_OUT, MOST_STATE
from spikewright.targets.xylo.configuration import Configuration, Population, Whole


class ChipState(NamedTuple):
    """Currents (batch, n, synapses), membranes (batch, n), and the hidden neurons' last events."""

    i: Whole
    v: Whole
    events: Whole
    i_out: Whole
    v_out: Whole


class Run(NamedTuple):
    """What a chip does over time, (time, batch, ...).

    ``spikes`` are a neuron's own, ``events`` those that it hands on, its aliases' among them.
    """

    spikes: Whole
    events: Whole
    i: Whole
    v: Whole
    out: Whole
    i_out: Whole
    v_out: Whole
    clipped: Whole
    clipped_out: Whole


def fresh(c: Configuration, batch: int) -> ChipState:
    """A start without any current."""
    n, m = len(c.hidden), len(c.out)

    def zeros(*shape: int) -> Whole:
        return np.zeros((batch, *shape), dtype=np.int64)

    return ChipState(zeros(n, c.synapses), zeros(n), zeros(n), zeros(m, 1), zeros(m))


def run_plain(c: Configuration, x: Whole, state: ChipState | None = None) -> tuple[Run, ChipState]:
    """Run a chip.

    Args:
        x: events, (time, batch, inputs), 0 to 15.
        state: where an earlier run ended.

    Returns:
        What it does, and its state after the last step.
    """
    state = fresh(c, x.shape[1]) if state is None else state
    shown: list[tuple[Whole, ...]] = []
    weights_in, weights_rec = c.weights_in << c.shifts.input, c.weights_rec << c.shifts.recurrent
    weights_out = c.weights_out[None] << c.shifts.output
    for now in x:
        i, v, events, i_out, v_out = state
        i_out, v_out, clipped_out = _integrate(c, c.out, i_out, v_out, [(events, weights_out)])
        out, _, v_out = _fire(c.out, v_out, MOST_OUT, None)
        i, v, clipped = _integrate(c, c.hidden, i, v, [(now, weights_in), (events, weights_rec)])
        spikes, events, v = _fire(c.hidden, v, MOST_HIDDEN, c.alias)
        state = ChipState(i, v, events, i_out, v_out)
        shown.append((spikes, events, i, v, out, i_out, v_out, clipped, clipped_out))
    return Run(*map(np.stack, zip(*shown, strict=True))), state


def decay(value: Whole, dash: Whole) -> Whole:
    """What is left of a number after a step.

    >>> decay(np.array([1000, 3, 0, -3]), np.array(4))
    array([938,   2,   0,  -2])
    """
    lost = value >> dash
    return value - np.where(lost == 0, value > 0, lost)


def saturated(value: Whole) -> Whole:
    """A number as 16 bits hold it."""
    return np.clip(value, LEAST_STATE, MOST_STATE)


def _integrate(
    c: Configuration, p: Population, i: Whole, v: Whole, sources: list[tuple[Whole, Whole]]
) -> tuple[Whole, Whole, Whole]:
    """Currents and membranes before any threshold, and how many of them left their range."""
    left = np.zeros_like(i, dtype=bool)
    for events, weights in sources:
        for j in np.flatnonzero(events.any(0)):
            wanted = i + events[:, j, None, None] * weights[:, j].T
            i = saturated(wanted)
            left |= i != wanted
    i = decay(i, p.dash_syn)
    change = decay(v, p.dash_mem) - v + i.sum(-1)
    if c.kind.core > 1:
        change = saturated(saturated(change) + p.bias)
    wanted = v + change
    v = saturated(wanted)
    return i, v, left.sum(-1) + (v != wanted)


def _fire(p: Population, v: Whole, most: int, alias: Whole | None) -> tuple[Whole, Whole, Whole]:
    """Own spikes, events handed on, and the membranes after their reset."""
    if alias is None or not (alias >= 0).any():
        spikes = np.clip(v // p.threshold, 0, most)
        return spikes, spikes, v - spikes * p.threshold
    events, spikes = np.zeros_like(v), np.zeros_like(v)
    for n, other in enumerate(alias):
        spikes[:, n] = np.clip(v[:, n] // p.threshold[n], 0, most - events[:, n])
        events[:, n] += spikes[:, n]
        if other >= 0:
            events[:, other] = np.minimum(events[:, other] + events[:, n], most)
    return spikes, events, v - spikes * p.threshold
