"""Gradients of the neurons' own parameters, from what the spikes of a gradient rule cost.

With input times held fixed, and the time of each spike's predecessor too, a parameter p moves
u(t_k-) by P_k, so dL/dp = sum over k of g_u(t_k-) P_k, the end of the trial counted as a spike.
P obeys the equations of u and j differentiated by p; at a spike that of u is set back to zero, and
that of j goes on.
"""

from __future__ import annotations

import numpy as np

from spikewright.engine.native import native
from spikewright.engine.threads import run_ranges
from spikewright.events.exact.gradient import Given
from spikewright.events.exact.history import Array, Floats, History, Ints, Problem

PARTS = 16
"""Of the batch, each summed by one thread."""


def parameter_gradients(
    problem: Problem, history: History, given: Given, membrane: Floats, taus: bool
) -> list[Array | None]:
    """Gradients of tau_mem, tau_syn, threshold and reset, (neurons,) each.

    Args:
        membrane: (spikes,), g_u just before each spike.
        taus: whether those of the taus are needed; ``None`` instead if not.
    """
    threshold = -_totals(history.spike_units, membrane, problem.neurons)
    reset = _reset(problem, history, given, membrane)
    found = _taus(problem, history, given, membrane) if taus else (None, None)
    return [*found, threshold, reset]


def _reset(problem: Problem, history: History, given: Given, membrane: Floats) -> Floats:
    """P is e^(-s/tau_mem), s after the neuron's spike before, and 0 if there is none."""
    tau_mem, neurons = problem.cells.tau_mem, problem.neurons
    sample = np.repeat(np.arange(problem.batch), np.diff(history.spike_offsets))
    place = sample * neurons + history.spike_units
    order = np.argsort(place, kind="stable")
    place, time = place[order], history.spike_times[order]
    again = place[1:] == place[:-1]
    unit, gap = place[1:][again] % neurons, np.diff(time)[again]
    effect = membrane[order][1:][again] * np.exp(-gap / tau_mem[unit])
    ends = np.append(~again, True)[: len(place)]
    where, rest = place[ends], problem.duration - time[ends]
    late = given.last.ravel()[where] * np.exp(-rest / tau_mem[where % neurons])
    return _totals(unit, effect, neurons) + _totals(where % neurons, late, neurons)


def _totals(units: Ints, values: Floats, neurons: int) -> Floats:
    """The sum for each neuron."""
    return np.bincount(units, values, neurons).astype(np.float64)


def _taus(
    problem: Problem, history: History, given: Given, membrane: Floats
) -> tuple[Floats, Floats]:
    rows = problem.rows
    parts = min(PARTS, problem.batch)
    found = np.zeros((parts, 2, problem.neurons))
    events = (history.times, history.indices, history.offsets, rows.weight)
    table = (rows.first, rows.target, rows.entry)
    spikes = (history.spike_times, history.spike_units, history.spike_offsets)
    cells = (np.stack(problem.cells[:4]), problem.cells.shared, problem.duration)
    arguments = (*events, *table, *spikes, *cells, membrane, given.last, found)
    kernel = native(__package__ or "", "parameters").sweep
    run_ranges(
        lambda first, last: kernel(first, last, *arguments),
        parts,
        4 * len(history.times) * problem.neurons,
        pieces=parts,
    )
    return tuple(found.sum(0))
