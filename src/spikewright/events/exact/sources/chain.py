"""Backpropagation from spike to spike, each neuron's latest first.

Between two of its own spikes, or after the last up to the trial's end, what a neuron owes to an
arrival at t is a sum of two exponentials of t alone. With t_n the spike that ends this stretch,
G_n what that owes to u (`gradient`), and K = k(t_m - t_(m-1)),

    dL/dw = G_n k(t_n - t) + Q_n b(t_n - t)         Q_n = sum over later spikes m of the neuron of
                                                          G_m K b(t_(m-1) - t_n)

and t_(n+1) moves with t_n by du(t_(n+1))/dt_n = a (reset - j(t_n)) / tau_mem. So a spike costs a
few operations, and an arrival two for each neuron: with x = k(r - t), y = b(r - t) from a moment r
shared by all, dL/dw = A x + B y, where A and B last from spike to spike. r is moved before the
exponentials grow large.
"""

import numba
import numpy as np

from spikewright.events.exact.sources.cell import FREE, OPTIONS, PLAIN, decays
from spikewright.events.exact.sources.jump import LEAST_RISE

SPAN = 2.0
"""In units of the shortest time constant: how far before r an event may be."""


@numba.njit(**FREE)
def _add(total, late, fast, x, y):
    for n in range(len(late)):
        total[n] += late[n] * x + fast[n] * y


@numba.njit(**FREE)
def _products(row, late, fast):
    by_late, by_fast = 0.0, 0.0
    for n in range(len(row)):
        by_late += row[n] * late[n]
        by_fast += row[n] * fast[n]
    return by_late, by_fast


@numba.njit(**PLAIN)
def _visit(s, n, back, cells, shared, total, weight, late, fast, kept):
    """Add dL/dw of synapse ``s``, onto neuron n; its share of dL/dt of the arrival.

    Args:
        back: from the arrival to r.
        kept: x, y, and their derivatives by the arrival's time, where neurons share them.
    """
    x, y, dx, dy = kept if shared else _exponentials(back, cells[0, n], cells[1, n])
    total[s] += late[n] * x + fast[n] * y
    return weight[s] * (late[n] * dx + fast[n] * dy)


@numba.njit(**PLAIN)
def _exponentials(back, tau_mem, tau_syn):
    a, b, k = decays(back, tau_mem, tau_syn)
    return k, b, k / tau_syn - a / tau_mem, b / tau_syn


@numba.njit(**PLAIN)
def _arrive(row, back, cells, shared, table, total, weight, late, fast, needs_times):
    """An arrival through ``row``; dL/dt, where dense and shared only if needed."""
    start, target, entry = table
    kept = _exponentials(back, cells[0, 0], cells[1, 0])
    found = 0.0
    if len(start) > 0:
        for s in range(start[row], start[row + 1]):
            found += _visit(
                entry[s], target[s], back, cells, shared, total[0], weight[0], late, fast, kept
            )
        return found
    if shared:
        x, y, dx, dy = kept
        _add(total[row], late, fast, x, y)
        if needs_times:
            by_late, by_fast = _products(weight[row], late, fast)
            found = by_late * dx + by_fast * dy
        return found
    for n in range(len(late)):
        found += _visit(n, n, back, cells, shared, total[row], weight[row], late, fast, kept)
    return found


@numba.njit(**PLAIN)
def _pass_spike(n, time, current, direct, count, cells, last, owed, carried):
    """From a neuron's next spike to this one; G and Q there."""
    tau_mem, tau_syn, threshold, reset = cells[0, n], cells[1, n], cells[2, n], cells[3, n]
    a, b, k = decays(last[n] - time, tau_mem, tau_syn)
    total = direct + owed[n] * a * (reset - current) / tau_mem
    rise = max(current - threshold, LEAST_RISE * threshold) / tau_mem
    carried[n] = owed[n] * k + carried[n] * b
    owed[n] = count / threshold - total / rise
    last[n] = time


@numba.njit(**PLAIN)
def _rebase(back, cells, shared, late, fast):
    """A and B for a moment r earlier by ``back``."""
    a, b, k = decays(back, cells[0, 0], cells[1, 0])
    for n in range(len(late)):
        if not shared:
            a, b, k = decays(back, cells[0, n], cells[1, n])
        fast[n] = b * fast[n] + k * late[n]
        late[n] *= a


@numba.njit(
    "void(i8, i8, f8[::1], i8[::1], i8[::1], i8[::1], f8[:, ::1], i8[::1], i8[::1], i8[::1], "
    "f8[::1], i8[::1], f8[::1], i8[::1], f8[:, ::1], b1, f8, f8[::1], f8[:, ::1], f8[:, ::1], "
    "b1, f8[::1], f8[:, :, ::1], f8[::1])",
    **OPTIONS,
)
def sweep(
    first, last, times, rows, source, offsets, weight, start, target, entry,
    spike_times, units, currents, spike_offsets, cells, shared, duration, direct, count, final,
    needs_times, grad_times, grad_weight, membrane,
):  # fmt: skip
    """From the last spike to the first of the samples of some parts of the batch.

    Args:
        direct, count, final: gradients of spike times, of counts and of u at the end; what
            spikes get from the arrivals they cause is added to the first.
        grad_times, grad_weight: added to; ``grad_weight`` has a sum for each part.
        membrane: written, G.
    """
    parts, batch, size = len(grad_weight), len(count), cells.shape[1]
    shortest = min(cells[0].min(), cells[1].min())
    reach, table = SPAN * shortest, (start, target, entry)
    late, fast, until = np.empty(size), np.empty(size), np.empty(size)
    owed, carried = np.empty(size), np.empty(size)
    for part in range(first, last):
        for sample in range(batch * part // parts, batch * (part + 1) // parts):
            idle, moment = True, duration
            for n in range(size):
                late[n], fast[n], until[n] = final[sample, n], 0.0, duration
                owed[n], carried[n] = final[sample, n], 0.0
                idle = idle and final[sample, n] == 0
            begin, e = offsets[sample], offsets[sample + 1] - 1
            oldest, spike = spike_offsets[sample], spike_offsets[sample + 1] - 1
            while e >= begin and (
                not times[e] <= duration
                or (idle and (spike < oldest or times[e] >= spike_times[spike]))
            ):
                e -= 1
            while e >= begin or spike >= oldest:
                # An arrival at the time of a spike came after it.
                arrives = spike < oldest or (e >= begin and times[e] >= spike_times[spike])
                now = times[e] if arrives else spike_times[spike]
                if moment - now > reach:
                    _rebase(moment - now, cells, shared, late, fast)
                    moment = now
                if arrives:
                    found = _arrive(rows[e], moment - now, cells, shared, table,
                                    grad_weight[part], weight, late, fast,
                                    needs_times)  # fmt: skip
                    grad_times[e] = found
                    if source[e] >= 0:
                        direct[source[e]] += found
                    e -= 1
                else:
                    n = units[spike]
                    _pass_spike(n, now, currents[spike], direct[spike], count[sample, n], cells,
                                until, owed, carried)  # fmt: skip
                    a, b, k = decays(now - moment, cells[0, n], cells[1, n])
                    late[n], fast[n] = owed[n] * a, owed[n] * k + carried[n] * b
                    membrane[spike] = owed[n]
                    spike -= 1
