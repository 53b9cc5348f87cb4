"""EventProp where an arrival reaches some neurons: each is moved when something meets it."""

import math

import numba
import numpy as np

from spikewright.events.exact.sources.cell import OPTIONS, PLAIN, copy, decays
from spikewright.events.exact.sources.jump import jump


@numba.njit(**PLAIN)
def _move(n, until, g_u, g_j, at, cells, shared, known):
    """Bring neuron n back to ``until``; ``known`` keeps the last answer, often a neighbour's."""
    s = at[n] - until
    at[n] = until
    if s == 0 or (g_u[n] == 0 and g_j[n] == 0):
        return
    if not (shared and known[0] == s):
        known[0] = s
        known[1], known[2], known[3] = decays(s, cells[0, n], cells[1, n])
    g_j[n] = known[2] * g_j[n] + known[3] * g_u[n]
    g_u[n] *= known[1]


@numba.njit(
    "void(i8, i8, f8[::1], i8[::1], i8[::1], i8[::1], f8[:, ::1], i8[::1], i8[::1], i8[::1], "
    "f8[::1], i8[::1], f8[::1], i8[::1], f8[:, ::1], b1, f8, f8[::1], f8[:, ::1], f8[:, ::1], "
    "b1, f8[::1], f8[:, :, ::1], f8[::1])",
    **OPTIONS,
)
def sweep(
    first, last, times, rows, source, offsets, weight, first_synapse, target, entry,
    spike_times, units, currents, spike_offsets, cells, shared, duration, direct, count, final,
    needs_times, grad_times, grad_weight, membrane,
):  # fmt: skip
    """Sweep backwards over the samples of some parts of the batch, as `adjoint_dense.sweep`."""
    parts, batch, size = len(grad_weight), len(count), cells.shape[1]
    tau_mem, tau_syn = cells[0], cells[1]
    g_u, g_j, at = np.empty(size), np.empty(size), np.empty(size)
    known, weights = np.empty(4), weight[0]
    known[0] = math.nan
    for part in range(first, last):
        total = grad_weight[part, 0]
        for sample in range(batch * part // parts, batch * (part + 1) // parts):
            copy(final[sample], g_u)
            g_j[:], at[:] = 0.0, duration
            start, e = offsets[sample], offsets[sample + 1] - 1
            oldest, spike = spike_offsets[sample], spike_offsets[sample + 1]
            while e >= start and not times[e] <= duration:
                e -= 1
            while e >= start or spike > oldest:
                if spike > oldest and (e < start or spike_times[spike - 1] > times[e]):
                    spike -= 1
                    n = units[spike]
                    _move(n, spike_times[spike], g_u, g_j, at, cells, shared, known)
                    g_u[n] = jump(
                        g_u[n], currents[spike], direct[spike], count[sample, n], cells, n
                    )
                    membrane[spike] = g_u[n]
                    continue
                found = 0.0
                for s in range(first_synapse[rows[e]], first_synapse[rows[e] + 1]):
                    n = target[s]
                    _move(n, times[e], g_u, g_j, at, cells, shared, known)
                    total[entry[s]] += g_j[n]
                    if needs_times:
                        found += weights[entry[s]] * (g_j[n] / tau_syn[n] - g_u[n] / tau_mem[n])
                grad_times[e] = found
                if source[e] >= 0:
                    direct[source[e]] += found
                e -= 1
