"""How spikes move with the time constants of their own neurons; see `exact.parameters`."""

import math

import numba
import numpy as np

from spikewright.events.exact.sources.cell import OPTIONS, PLAIN, decays
from spikewright.events.exact.sources.slopes import slopes


@numba.njit(**PLAIN)
def _move(state, until, n, cells, shared, known):
    """Bring one neuron's state to ``until``; ``known`` keeps the last answer."""
    s = until - state[5]
    state[5] = until
    if s == 0:
        return
    if not (shared and known[0] == s):
        _work_out(s, cells[0, n], cells[1, n], known)
    a, b, k = known[1], known[2], known[3]
    u, j, by_mem, by_syn, current = state[0], state[1], state[2], state[3], state[4]
    state[0] = a * u + k * j
    state[1] = b * j
    state[2] = a * by_mem + known[4] * u + known[6] * j
    state[3] = a * by_syn + k * current + known[7] * j
    state[4] = b * current + known[5] * j


@numba.njit(**PLAIN)
def _arrive(row, time, state, weight, first_synapse, target, entry, cells, shared, known):
    """Bring the neurons of a row to ``time`` and add it to their currents."""
    if len(first_synapse) == 0:
        for n in range(len(state)):
            _move(state[n], time, n, cells, shared, known)
            state[n, 1] += weight[row, n]
    else:
        for s in range(first_synapse[row], first_synapse[row + 1]):
            n = target[s]
            _move(state[n], time, n, cells, shared, known)
            state[n, 1] += weight[0, entry[s]]


@numba.njit(**PLAIN)
def _work_out(s, tau_mem, tau_syn, known):
    """a, b, k; da/dtau_mem, db/dtau_syn; dk/dtau_mem, dk/dtau_syn."""
    a, b, k = decays(s, tau_mem, tau_syn)
    by_mem, by_syn = s / (tau_mem * tau_mem), s / (tau_syn * tau_syn)
    known[0], known[1], known[2], known[3] = s, a, b, k
    known[4], known[5] = a * by_mem, b * by_syn
    known[6], known[7] = slopes(s, tau_mem, tau_syn, a, b, k)


@numba.njit(
    "void(i8, i8, f8[::1], i8[::1], i8[::1], f8[:, ::1], i8[::1], i8[::1], i8[::1], f8[::1], "
    "i8[::1], i8[::1], f8[:, ::1], b1, f8, f8[::1], f8[:, ::1], f8[:, :, ::1])",
    **OPTIONS,
)
def sweep(
    first, last, times, rows, offsets, weight, first_synapse, target, entry, spike_times, units,
    spike_offsets, cells, shared, duration, membrane, final, found,
):  # fmt: skip
    """Sweep over the samples of some parts of the batch, along spikes that are known.

    Args:
        membrane, final: gradients with respect to u just before each spike, and at the end.
        found: (parts, 2, neurons), written: those of tau_mem and of tau_syn.
    """
    parts, batch, size = len(found), len(final), cells.shape[1]
    # u, j, du/dtau_mem, du/dtau_syn, dj/dtau_syn, and the time they are of.
    state, known = np.empty((size, 6)), np.empty(9)
    known[0] = math.nan
    for part in range(first, last):
        for sample in range(batch * part // parts, batch * (part + 1) // parts):
            state[:] = 0.0
            spike, end = spike_offsets[sample], spike_offsets[sample + 1]
            for e in range(offsets[sample], offsets[sample + 1] + 1):
                arrives = e < offsets[sample + 1] and times[e] <= duration
                while spike < end and (not arrives or spike_times[spike] <= times[e]):
                    n = units[spike]
                    _move(state[n], spike_times[spike], n, cells, shared, known)
                    found[part, 0, n] += membrane[spike] * state[n, 2]
                    found[part, 1, n] += membrane[spike] * state[n, 3]
                    state[n, 0], state[n, 2], state[n, 3] = cells[3, n], 0.0, 0.0
                    spike += 1
                if not arrives:
                    break
                _arrive(rows[e], times[e], state, weight, first_synapse, target, entry, cells,
                        shared, known)  # fmt: skip
            for n in range(size):
                if final[sample, n] != 0:
                    _move(state[n], duration, n, cells, shared, known)
                    found[part, 0, n] += final[sample, n] * state[n, 2]
                    found[part, 1, n] += final[sample, n] * state[n, 3]
