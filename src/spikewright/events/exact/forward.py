"""The spikes of a batch: kernels run over samples, with lists that grow where they must."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from spikewright.engine.native import native
from spikewright.engine.threads import run_ranges
from spikewright.errors import EventError
from spikewright.events.exact.history import Array, Floats, History, Ints, Problem
from spikewright.events.solver import CALM, Limits
from spikewright.units import format_seconds

_WRITTEN, _STATE, _STOPPED, _UNIT, _EVENTS = range(5)
_FULL, _ENDLESS = 1, 2
_SPIKES, _GROWTH = 8, 4
"""Of each neuron, that there is room for at first, and what the room grows by."""
_LEAST, _BYTES = 64, 1 << 28


class Outcome(NamedTuple):
    """What the neurons did.

    Args:
        history: arrivals and spikes.
        counts: (batch, neurons), spikes of each neuron.
        last: (batch, neurons), u at the end.
        stopped: number of (sample, neuron) that the limit stopped.
    """

    history: History
    counts: Floats
    last: Floats
    stopped: int


class _Lists(NamedTuple):
    """Room for the spikes and, with feedback, for the arrivals of some samples, a row for each."""

    spikes: Floats
    events: tuple[Floats, Ints, Ints]
    reports: Ints

    @classmethod
    def make(cls, samples: int, spikes: int, events: int) -> _Lists:
        ints = functools.partial(np.empty, dtype=np.int64)
        listed = (np.empty((samples, events)), ints((samples, events)), ints((samples, events)))
        return cls(np.empty((samples, spikes, 3)), listed, np.zeros((samples, 5), np.int64))


def fire(problem: Problem, limits: Limits) -> Outcome:
    """The spikes of neurons that start at rest.

    Raises:
        EventError: a neuron fires without end.
    """
    shape = (problem.batch, problem.neurons)
    counts, last = np.empty(shape), np.empty(shape)
    found: list[Any] = [None] * problem.batch
    samples = np.arange(problem.batch)
    room, stopped = _room(problem, limits), 0
    while len(samples):
        lists = _run(problem, limits, samples, room, (counts, last))
        state = lists.reports[:, _STATE]
        for i in np.flatnonzero(state == _ENDLESS)[:1]:
            raise _endless(int(samples[i]), lists.reports[i, _UNIT], lists.spikes[i, 0, 0], limits)
        for i in np.flatnonzero(state != _FULL):
            found[samples[i]] = _cut(lists, int(i))
            stopped += int(lists.reports[i, _STOPPED])
        samples, room = samples[state == _FULL], room * _GROWTH
    return Outcome(_history(problem, found), counts, last, stopped)


def _room(problem: Problem, limits: Limits) -> int:
    """For how many spikes of a sample at first; what is not written to costs no memory."""
    most = _SPIKES if limits.spikes is None else min(_SPIKES, limits.spikes)
    fits = _BYTES // (24 * max(1, problem.batch))
    return _LEAST + min(most * problem.neurons, max(fits, problem.neurons))


def _run(
    problem: Problem, limits: Limits, samples: Ints, room: int, results: tuple[Floats, Floats]
) -> _Lists:
    """Run samples with ``room`` for the spikes of each."""
    p, rows = problem, problem.rows
    feedback = len(p.delay) > 0
    arrivals = int(np.diff(p.offsets).max(initial=0)) if feedback else 0
    lists = _Lists.make(len(samples), room, arrivals + room if feedback else 0)
    most = sys.maxsize if limits.spikes is None else limits.spikes
    cells = np.stack([p.cells.tau_mem, p.cells.tau_syn, p.cells.threshold, p.cells.reset])
    given = (samples, p.times, p.indices, p.offsets, rows.weight)
    table = (rows.first, rows.target, rows.entry)
    neurons = (cells, p.cells.shared, p.duration, np.array([most, limits.bound]))
    written = (lists.spikes, *results, lists.reports)
    if feedback:
        back = (rows.external, p.first_row, p.delay)
        arguments = (*given, *table, *back, *neurons, *lists.events, *written)
        kernel = native(__package__ or "", "recurrent").fire
    elif rows.dense:
        arguments, kernel = (*given, *neurons, *written), native(__package__ or "", "dense").fire
    else:
        arguments = (*given, *table, *neurons, *written)
        kernel = native(__package__ or "", "lazy").fire
    _spread(kernel, arguments, len(samples), len(p.times) * p.neurons)
    return lists


def _spread(kernel: Callable[..., None], arguments: tuple[Any, ...], count: int, work: int) -> None:
    run_ranges(lambda first, last: kernel(first, last, *arguments), count, work)


def _cut(lists: _Lists, i: int) -> tuple[Array, ...]:
    """What sample i wrote, without the room that is left."""
    spikes, events = lists.reports[i, _WRITTEN], lists.reports[i, _EVENTS]
    return lists.spikes[i, :spikes], *(each[i, :events] for each in lists.events)


def _history(problem: Problem, found: list[tuple[Array, ...]]) -> History:
    """The lists of all samples, one after another."""
    spikes = np.concatenate([np.empty((0, 3)), *(each[0] for each in found)])
    starts = _offsets([len(each[0]) for each in found])
    times, units, currents = spikes.T.copy()
    own = (times, units.astype(np.int64), currents, starts)
    if not len(problem.delay):
        source = np.full(len(problem.times), -1)
        return History(problem.times, problem.indices, source, problem.offsets, *own)
    times, rows = ([each[k] for each in found] for k in (1, 2))
    sources = [f[3] + (f[3] >= 0) * s for f, s in zip(found, starts, strict=False)]
    offsets = _offsets([len(each) for each in times])
    ints = np.empty(0, np.int64)
    arrivals = (_joined([np.empty(0), *times]), _joined([ints, *rows]), _joined([ints, *sources]))
    return History(*arrivals, offsets, *own)


def _joined(lists: list[Array]) -> Array:
    return np.concatenate(lists)


def _offsets(lengths: list[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def _endless(sample: int, unit: int, time: float, limits: Limits) -> EventError:
    return EventError(
        f"events.exact: a neuron must spike fewer than {limits.bound:,} times in a trial, got as "
        f"many from neuron {unit} in sample {sample} up to {format_seconds(float(time))}. {CALM}"
    )
