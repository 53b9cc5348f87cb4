"""Spikes of neurons that start at rest, step by step; see `spikewright.events.grid.fire`.

j = i + x;  u <- a u + k j;  a spike where u > threshold, then u <- reset;  i <- b j
"""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import OPTIONS
from spikewright.events.grid.sources.shared import (
    INLINE,
    LAYER,
    add_arrivals,
    add_row,
    make_waits,
    place,
)

RESULTS = "Tuple((i8[::1], f8[:, ::1], i8[::1], i8[::1]))"


@numba.njit(**INLINE)
def advance(a, k, b, level, u, i):
    """One step; whether any neuron crossed its threshold."""
    found = False
    for m in range(len(u)):
        j = i[m]
        here = a[m] * u[m] + k[m] * j
        u[m] = here
        i[m] = b[m] * j
        found |= here > level[m]
    return found


@numba.njit(**INLINE)
def longer(values):
    """A copy with twice the room."""
    copy = np.empty(2 * len(values), values.dtype)
    for k in range(len(values)):
        copy[k] = values[k]
    return copy


@numba.njit(**INLINE)
def slope(m, cells, u, i):
    """tau_mem times the mean slope of a membrane over its last step.

    The slope at the step's end, (j - u) / tau_mem, may be far smaller than that at the crossing,
    or below zero, where j falls through the threshold in the step. The mean is positive wherever
    a threshold was crossed.
    """
    a, k, b = cells[0, m], cells[1, m], cells[2, m]
    before = (u[m] - k * i[m] / b) / a
    return (before - u[m]) / np.log(a)


@numba.njit(**INLINE)
def cross(n, limits, cells, level, u, i, count, spikes, used):
    """Note and reset the neurons above their threshold: number of spikes, stopped, endless."""
    most, bound = limits
    step, unit, slack = spikes
    stopped = 0
    for m in range(len(u)):
        if u[m] > level[m]:
            if count[m] == most:
                level[m] = np.inf
                stopped += 1
                continue
            if count[m] == bound:
                return used, stopped, m
            count[m] += 1
            step[used], unit[used], slack[used] = n, m, slope(m, cells, u, i)
            used += 1
            u[m] = cells[4, m]
    return used, stopped, -1


@numba.njit(**INLINE)
def send(k, spikes, feedback, newest, following, waits):
    """Put the rows of a spike's neuron on the lists of the steps at which it arrives.

    A row on its way for an earlier spike of the neuron is put back when that has arrived.
    """
    step, unit = spikes[0], spikes[1]
    _, first_row, delay = feedback
    pending, link, slot = waits
    m = unit[k]
    following[k] = -1
    if newest[m] >= 0:
        following[newest[m]] = k
    newest[m] = k
    for row in range(first_row[m], first_row[m + 1]):
        if pending[row] < 0:
            pending[row] = k
            place(row, step[k] + 1 + delay[row], slot, link)


@numba.njit(**INLINE)
def receive(n, spikes, feedback, following, waits, i):
    """Let what the neurons sent themselves arrive."""
    synapses, _, delay = feedback
    pending, link, slot = waits
    row = slot[n % len(slot)]
    slot[n % len(slot)] = -1
    while row >= 0:
        after = link[row]
        add_row(row, synapses, i)
        k = following[pending[row]]
        pending[row] = k
        if k >= 0:
            place(row, spikes[0][k] + 1 + delay[row], slot, link)
        row = after


@numba.njit(
    f"Tuple((i4[::1], i4[::1], f8[::1]))(i8, UniTuple(i8, 2), {LAYER}, {RESULTS}, i8, i8)",
    **OPTIONS,
)
def fire(steps, limits, layer, results, first, last):
    """The spikes of samples ``first`` to ``last``: step, neuron and what `slope` says of each."""
    arrivals, synapses, feedback, cells = layer
    number, final, stopped, endless = results
    size = cells.shape[1]
    fed = len(feedback[1]) > 0
    waits = make_waits(feedback[2])
    i, level = np.empty(size), np.empty(size)
    count, newest = np.empty(size, np.int64), np.empty(size, np.int64)
    spikes = (np.empty(4 * size, np.int32), np.empty(4 * size, np.int32), np.empty(4 * size))
    following = np.empty(4 * size if fed else 0, np.int64)
    used = 0
    for sample in range(first, last):
        u, begin = final[sample], used
        u[:], i[:], count[:] = 0, 0, 0
        for m in range(size):
            level[m] = cells[3, m]
        newest[:], waits[0][:], waits[2][:] = -1, -1, -1
        e, end = arrivals[2][sample], arrivals[2][sample + 1]
        for n in range(steps):
            e = add_arrivals(n, e, end, arrivals, synapses, i)
            if fed:
                receive(n, spikes, feedback, following, waits, i)
            if not advance(cells[0], cells[1], cells[2], level, u, i):
                continue
            if used + size > len(spikes[0]):
                spikes = (longer(spikes[0]), longer(spikes[1]), longer(spikes[2]))
                following = longer(following)
            known = used
            used, more, without_end = cross(n, limits, cells, level, u, i, count, spikes, used)
            stopped[sample] += more
            if without_end >= 0:
                endless[sample] = without_end
                break
            if fed:
                for k in range(known, used):
                    send(k, spikes, feedback, newest, following, waits)
        number[sample] = used - begin
    return spikes[0][:used].copy(), spikes[1][:used].copy(), spikes[2][:used].copy()
