"""Spikes of neurons that reach one another: all advance together, from event to event."""

import numba
import numpy as np

from spikewright.events.exact.sources.cell import NEVER, OPTIONS, PLAIN, copy, crossing
from spikewright.events.exact.sources.group import WORD, advance, next_flag, set_decays
from spikewright.events.exact.sources.queue import pop, push
from spikewright.events.exact.sources.spikes import (
    DONE,
    EVENTS,
    FULL,
    NEURON,
    STATE,
    WRITTEN,
    spikes_at,
)


@numba.njit(**PLAIN)
def _earliest(u, j, new, flags, length, cells, lim, soon):
    """The earliest time of a crossing, NEVER for none; ``soon`` has that of each marked neuron."""
    earliest = NEVER
    n = next_flag(flags, 0)
    while n < len(u):
        soon[n] = crossing(u[n], j[n], new[n], length, lim[n], cells[0, n], cells[1, n])
        earliest = min(earliest, soon[n])
        n = next_flag(flags, n + 1)
    return earliest


@numba.njit(**PLAIN)
def _pass(u, new, j, a, b, k, shared):
    """Advance all neurons, of which none spikes on the way."""
    for n in range(len(u)):
        m = 0 if shared else n
        new[n] = a[m] * u[n] + k[m] * j[n]
        j[n] *= b[m]


@numba.njit(**PLAIN)
def _spike(now, earliest, soon, new, j, cells, counts, limits, lim, flags, spikes, report):
    """The neurons that cross the threshold the earliest do so now."""
    n = next_flag(flags, 0)
    while n < len(new) and report[STATE] == DONE:
        if soon[n] == earliest and spikes_at(n, now, j[n], counts, limits, lim, spikes, report):
            new[n] = cells[3, n]
        n = next_flag(flags, n + 1)


@numba.njit(**PLAIN)
def _send(before, spikes, now, duration, external, first_row, delay, waiting, queue, report):
    """Put the arrivals of the spikes from ``before`` on into the queue; its new size."""
    for spike in range(before, report[WRITTEN]):
        n = int(spikes[spike, NEURON])
        for r in range(first_row[n], first_row[n + 1]):
            if now + delay[r] <= duration:
                if waiting == len(queue[0]):
                    report[STATE] = FULL
                    return waiting
                push(now + delay[r], external + r, spike, waiting, queue[0], queue[1], queue[2])
                waiting += 1
    return waiting


@numba.njit(**PLAIN)
def _add(row, j, weight, first_synapse, target, entry):
    """Add a row to the currents."""
    if len(first_synapse) == 0:
        for n in range(len(j)):
            j[n] += weight[row, n]
    else:
        for s in range(first_synapse[row], first_synapse[row + 1]):
            j[target[s]] += weight[0, entry[s]]


@numba.njit(**PLAIN)
def _list(time, row, source, events, report):
    place = report[EVENTS]
    if place == len(events[0]):
        report[STATE] = FULL
        return
    events[0][place], events[1][place], events[2][place] = time, row, source
    report[EVENTS] = place + 1


@numba.njit(
    "void(i8, i8, i8[::1], f8[::1], i8[::1], i8[::1], f8[:, ::1], i8[::1], i8[::1], i8[::1], "
    "i8, i8[::1], f8[::1], f8[:, ::1], b1, f8, i8[::1], f8[:, ::1], i8[:, ::1], i8[:, ::1], "
    "f8[:, :, ::1], f8[:, ::1], f8[:, ::1], i8[:, ::1])",
    **OPTIONS,
)
def fire(
    first, last, samples, times, indices, offsets, weight, first_synapse, target, entry,
    external, first_row, delay, cells, shared, duration, limits, event_times, event_rows,
    event_sources, written, counts, final, reports,
):  # fmt: skip
    """The spikes of some samples, and all arrivals in the order in which they acted.

    Args:
        external: number of rows that are not of the feedback.
        event_times, event_rows, event_sources: written, a row for each of ``samples``.
        others: as for `dense.fire`.
    """
    size, room = cells.shape[1], event_times.shape[1]
    u, new, j, soon = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    a, b, k, at_once = np.empty(size), np.empty(size), np.empty(size), np.ones(size)
    nothing = np.zeros((1, size))
    flags = np.zeros((size + WORD - 1) // WORD * WORD, np.uint8)
    queue = (np.empty(room), np.empty(room, np.int64), np.empty(room, np.int64))
    for i in range(first, last):
        sample, spikes, report = samples[i], written[i], reports[i]
        events = (event_times[i], event_rows[i], event_sources[i])
        lim, count = cells[2].copy(), counts[sample]
        new[:], j[:], count[:] = 0.0, 0.0, 0.0
        now, e, stop, waiting, done = 0.0, offsets[sample], offsets[sample + 1], 0, False
        while report[STATE] == DONE and not done:
            coming = times[e] if e < stop else NEVER
            back = queue[0][0] if waiting > 0 else NEVER
            until = min(duration, coming, back)
            set_decays(until - now, cells, shared, a, b, k)
            advance(u, new, j, nothing, 0, at_once, a, k, shared, lim, flags)
            s = _earliest(u, j, new, flags, until - now, cells, lim, soon)
            if s < NEVER:
                until = min(now + s, until)
                set_decays(s, cells, shared, a, b, k)
            _pass(u, new, j, a, b, k, shared)
            now, before = until, report[WRITTEN]
            if s < NEVER:
                _spike(now, s, soon, new, j, cells, count, limits, lim, flags, spikes, report)
                waiting = _send(
                    before, spikes, now, duration, external, first_row, delay, waiting, queue,
                    report,
                )  # fmt: skip
            elif min(coming, back) <= duration:
                if coming <= back:
                    row, source, e = indices[e], -1, e + 1
                else:
                    row, source = queue[1][0], queue[2][0]
                    pop(waiting, queue[0], queue[1], queue[2])
                    waiting -= 1
                _add(row, j, weight, first_synapse, target, entry)
                _list(now, row, source, events, report)
            else:
                done = True
        copy(new, final[sample])
        for late in range(e, stop):
            _list(times[late], indices[late], -1, events, report)
