"""EventProp where every arrival reaches all neurons."""

import numba
import numpy as np

from spikewright.events.exact.sources.cell import FREE, OPTIONS, PLAIN, copy
from spikewright.events.exact.sources.group import set_decays
from spikewright.events.exact.sources.jump import back, jump


@numba.njit(**PLAIN)
def _pass_spike(
    n, spike, now, g_u, g_j, before_u, before_j, at, spike_times, currents, direct, count, cells,
    membrane,
):  # fmt: skip
    """From ``now``, or the neuron's next spike, to just before this one.

    It is kept beside the others, which are all brought to the arrival before it at once.
    """
    if at[n] < np.inf:
        late, u, j = at[n], before_u[n], before_j[n]
    else:
        late, u, j = now, g_u[n], g_j[n]
    time = spike_times[spike]
    u, before_j[n] = back(u, j, late - time, cells[0, n], cells[1, n])
    u = jump(u, currents[spike], direct[spike], count[n], cells, n)
    before_u[n], at[n], membrane[spike] = u, time, u


@numba.njit(**PLAIN)
def _join(n, until, g_u, g_j, before_u, before_j, at, cells):
    """Bring a neuron that spiked to where the others are."""
    if at[n] < np.inf:
        s = at[n] - until
        g_u[n], g_j[n] = back(before_u[n], before_j[n], s, cells[0, n], cells[1, n])
        at[n] = np.inf


@numba.njit(**PLAIN)
def _last(times, start, stop, duration, newest, g_u):
    """The last arrival that acts on the loss: where u at the end does not, before a spike."""
    asked = False
    for n in range(len(g_u)):
        asked |= g_u[n] != 0
    e = stop - 1
    while e >= start and not (times[e] <= duration and (asked or times[e] < newest)):
        e -= 1
    return e


@numba.njit(**FREE)
def _retreat(g_u, g_j, a, b, k, shared):
    if shared:
        x, y, z = a[0], b[0], k[0]
        for n in range(len(g_u)):
            g_j[n] = y * g_j[n] + z * g_u[n]
            g_u[n] = x * g_u[n]
    else:
        for n in range(len(g_u)):
            g_j[n] = b[n] * g_j[n] + k[n] * g_u[n]
            g_u[n] = a[n] * g_u[n]


@numba.njit(**FREE)
def _add(total, g_j):
    for n in range(len(g_j)):
        total[n] += g_j[n]


@numba.njit(**FREE)
def _shift(row, g_u, g_j, tau_mem, tau_syn, shared):
    """The gradient with respect to the time of an arrival."""
    found = 0.0
    if shared:
        x, y = 1 / tau_syn[0], 1 / tau_mem[0]
        for n in range(len(row)):
            found += row[n] * (x * g_j[n] - y * g_u[n])
    else:
        for n in range(len(row)):
            found += row[n] * (g_j[n] / tau_syn[n] - g_u[n] / tau_mem[n])
    return found


@numba.njit(
    "void(i8, i8, f8[::1], i8[::1], i8[::1], i8[::1], f8[:, ::1], f8[::1], i8[::1], f8[::1], "
    "i8[::1], f8[:, ::1], b1, f8, f8[::1], f8[:, ::1], f8[:, ::1], b1, f8[::1], "
    "f8[:, :, ::1], f8[::1])",
    **OPTIONS,
)
def sweep(
    first, last, times, rows, source, offsets, weight, spike_times, units, currents,
    spike_offsets, cells, shared, duration, direct, count, final, needs_times,
    grad_times, grad_weight, membrane,
):  # fmt: skip
    """Sweep backwards over the samples of some parts of the batch.

    Args:
        direct, count, final: gradients of spike times, of counts and of u at the end; what
            spikes get from later arrivals is added to the first.
        grad_times, grad_weight, membrane: written; ``grad_weight`` has a sum for each part.
    """
    parts, batch, size = len(grad_weight), len(count), cells.shape[1]
    tau_mem, tau_syn = cells[0], cells[1]
    g_u, g_j = np.empty(size), np.empty(size)
    a, b, k = np.empty(size), np.empty(size), np.empty(size)
    before_u, before_j, at = np.empty(size), np.empty(size), np.empty(size)
    for part in range(first, last):
        for sample in range(batch * part // parts, batch * (part + 1) // parts):
            copy(final[sample], g_u)
            g_j[:], at[:] = 0.0, np.inf
            now, start = duration, offsets[sample]
            oldest, spike = spike_offsets[sample], spike_offsets[sample + 1]
            newest = spike_times[spike - 1] if spike > oldest else -np.inf
            e = _last(times, start, offsets[sample + 1], duration, newest, g_u)
            while e >= start:
                until, above = times[e], spike
                while spike > oldest and spike_times[spike - 1] > until:
                    spike -= 1
                    n = units[spike]
                    _pass_spike(n, spike, now, g_u, g_j, before_u, before_j, at, spike_times,
                                currents, direct, count[sample], cells, membrane)  # fmt: skip
                if until < now:
                    set_decays(now - until, cells, shared, a, b, k)
                    _retreat(g_u, g_j, a, b, k, shared)
                for each in range(spike, above):
                    _join(units[each], until, g_u, g_j, before_u, before_j, at, cells)
                row = rows[e]
                _add(grad_weight[part, row], g_j)
                if needs_times:
                    found = _shift(weight[row], g_u, g_j, tau_mem, tau_syn, shared)
                    grad_times[e] = found
                    if source[e] >= 0:
                        direct[source[e]] += found
                now = until
                e -= 1
            while spike > oldest:
                spike -= 1
                _pass_spike(units[spike], spike, now, g_u, g_j, before_u, before_j, at,
                            spike_times, currents, direct, count[sample], cells,
                            membrane)  # fmt: skip
