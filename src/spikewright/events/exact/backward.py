"""How a gradient rule's kernel is run over a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright.engine.native import native
from spikewright.engine.threads import run_ranges
from spikewright.events.exact.gradient import Given, Gradient
from spikewright.events.exact.history import Floats, History, Problem

MOST_PARTS = 16
"""Of the batch, each with a sum of its own of the gradients of weights."""
ARRIVALS_A_ROW = 2
"""From so many arrivals a row of weights on, a part of the batch is worth a sum of its own."""


def run_backward(
    name: str, table: bool, problem: Problem, history: History, given: Given, needs_times: bool
) -> Gradient:
    """The gradients of `Rule` by the kernel ``sweep`` of a source.

    Args:
        name: of the source.
        table: whether its kernel takes the table of synapses.
    """
    rows, parts = problem.rows, _parts(problem, history)
    weight = np.zeros((parts, *rows.weight.shape))
    times, membrane = np.zeros(len(history.times)), np.empty(len(history.spike_times))
    events: tuple[Any, ...] = (*history[:4], rows.weight)
    synapses = (rows.first, rows.target, rows.entry) if table else ()
    cells = (np.stack(problem.cells[:4]), problem.cells.shared, problem.duration)
    # What a fed-back arrival's time owes goes on to the spike that caused it.
    wanted = needs_times or len(problem.delay) > 0
    loss = (given.times.copy(), given.counts, given.last, wanted)
    arguments = (*events, *synapses, *history[4:], *cells, *loss, times, weight, membrane)
    kernel = native(__package__ or "", name).sweep
    work = (len(history.times) + len(history.spike_times)) * problem.neurons
    run_ranges(lambda first, last: kernel(first, last, *arguments), parts, work, pieces=parts)
    arrivals, delay = _apart(problem, history, times)
    total = weight[0] if parts == 1 else weight.sum(0)
    return Gradient(arrivals if needs_times else None, total, delay, membrane)


def _parts(problem: Problem, history: History) -> int:
    """How many parts of the batch to sum apart: never a matter of the number of threads."""
    worth = len(history.times) // (ARRIVALS_A_ROW * max(1, len(problem.rows.weight)))
    return max(1, min(MOST_PARTS, problem.batch, max(2, worth)))


def _apart(problem: Problem, history: History, times: Floats) -> tuple[Floats, Floats]:
    """Of external arrivals, and of the delays of those fed back."""
    if not len(problem.delay):
        return times, np.empty(0)
    back, delay = history.source >= 0, np.zeros(len(problem.delay))
    np.add.at(delay, history.indices[back] - problem.rows.external, times[back])
    return times[~back], delay
