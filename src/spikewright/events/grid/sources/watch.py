"""Membranes of neurons without a threshold, step by step, and the way back to their gradients.

    j = i + x;  u <- a u + k j;  i <- b j

What is seen is one of: the sum over steps of weight u; the largest u and its step; each u. The
steps may be taken in several spans, with (u, i) in ``states`` and the place in the arrivals in
``reached`` between them.
"""

import numba

from spikewright.engine.cpu.vectorise import OPTIONS
from spikewright.events.grid.sources.back import RATE_MEM, undo_arrivals, undo_step
from spikewright.events.grid.sources.shared import FUSED, INLINE, LAYER, add, add_arrivals

SUM, PEAK, ALL = 0, 1, 2


@numba.njit(**INLINE)
def advance(a, k, b, u, i):
    """One step."""
    for m in range(len(u)):
        j = i[m]
        u[m] = a[m] * u[m] + k[m] * j
        i[m] = b[m] * j


@numba.njit(**FUSED)
def add_times(factor, values, total):
    """``total += factor * values``."""
    for m in range(len(total)):
        total[m] += factor * values[m]


@numba.njit(**INLINE)
def keep_peak(n, u, i, peak, where, rise):
    """The larger of each ``u`` and ``peak``, with its step and how fast u rises there."""
    for m in range(len(u)):
        higher = u[m] > peak[m]
        peak[m] = u[m] if higher else peak[m]
        where[m] = n if higher else where[m]
        rise[m] = i[m] - u[m] if higher else rise[m]


@numba.njit(**INLINE)
def add_where(n, where, values, total):
    """Add the values whose step it is."""
    for m in range(len(total)):
        total[m] += values[m] if where[m] == n else 0.0


@numba.njit(**INLINE)
def bend(n, e, end, arrivals, synapses, cells, where, rise, seed, d_time):
    """Gradients of the arrivals of step n that ended the rise of a membrane, and so are its peak.

    A peak that is cut off moves with the arrival that did it, up the slope before it.
    """
    weight, first, target, entry = synapses
    size = len(where)
    for place in range(e, end):
        row = arrivals[1][place]
        begin, stop = (first[row], first[row + 1]) if len(first) > 0 else (0, size)
        for s in range(begin, stop):
            m = target[s] if len(first) > 0 else s
            w = weight[entry[s]] if len(first) > 0 else weight[row * size + s]
            if where[m] == n - 1 and rise[m] > 0:
                if rise[m] + w <= 0:
                    d_time[place] += seed[m] * rise[m] * cells[RATE_MEM, m]
                rise[m] += w


CARRIED = "Tuple((f8[:, :, ::1], i8[::1], f8[:, ::1], i4[:, ::1], f8[:, ::1], f8[:, ::1]))"
SUMS = "Tuple((f8[::1], f8[:, ::1], f8[:, :, ::1]))"


@numba.njit(f"void(UniTuple(i8, 3), i8, {LAYER}, {CARRIED}, i8, i8)", **OPTIONS)
def watch(span, kind, layer, carried, first, last):
    """Samples ``first`` to ``last``, for the steps span[0] to span[1] of span[2]."""
    begin, end, steps = span
    arrivals, synapses, _, cells = layer
    states, reached, weight, where, rise, seen = carried
    for sample in range(first, last):
        u, i = states[sample, 0], states[sample, 1]
        e, stop = reached[sample], arrivals[2][sample + 1]
        weights = weight[min(sample, len(weight) - 1)]
        for n in range(begin, end):
            e = add_arrivals(n, e, stop, arrivals, synapses, i)
            advance(cells[0], cells[1], cells[2], u, i)
            if kind == SUM:
                add_times(weights[n - begin], u, seen[sample])
            elif kind == PEAK:
                keep_peak(n, u, i, seen[sample], where[sample], rise[sample])
            else:
                add(u, seen[sample * steps + n])
        reached[sample] = e


@numba.njit(f"void(UniTuple(i8, 3), i8, {LAYER}, {CARRIED}, {SUMS}, i8, i8)", **OPTIONS)
def unwatch(span, kind, layer, carried, sums, first, last):
    """The gradients of `watch` for some parts of the batch; ``seen`` holds that of the result."""
    begin, end, steps = span
    arrivals, synapses, _, cells = layer
    states, reached, weight, where, rise, seen = carried
    d_time, gradients, d_cells = sums
    batch, parts = len(states), len(d_cells)
    for part in range(first, last):
        for sample in range(batch * part // parts, batch * (part + 1) // parts):
            state, least = states[sample], arrivals[2][sample]
            e, weights = reached[sample], weight[min(sample, len(weight) - 1)]
            for n in range(end - 1, begin - 1, -1):
                if kind == SUM:
                    add_times(weights[n - begin], seen[sample], state[0])
                elif kind == PEAK:
                    add_where(n, where[sample], seen[sample], state[0])
                else:
                    add(seen[sample * steps + n], state[0])
                undo_step(cells, state)
                late, e = e, undo_arrivals(
                    n, e, least, arrivals, synapses, cells, state, gradients[part], d_time,
                    d_cells[part],
                )  # fmt: skip
                if kind == PEAK and late > e and len(d_time) > 0:
                    bend(n, e, late, arrivals, synapses, cells, where[sample], rise[sample],
                         seen[sample], d_time)  # fmt: skip
            reached[sample] = e
