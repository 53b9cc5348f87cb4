"""Spikes of neurons each of which some arrivals reach, without feedback."""

import math

import numba
import numpy as np

from spikewright.events.exact.sources.cell import OPTIONS, PLAIN, copy, decays
from spikewright.events.exact.sources.spikes import DONE, SLACK, STATE, WRITTEN, live, sort_spikes


@numba.njit(**PLAIN)
def _move(n, until, u, j, at, cells, shared, known, counts, limits, lim, spikes, report):
    """Bring neuron n to ``until``. Neighbours often wait as long: ``known`` keeps one answer."""
    now = at[n]
    at[n] = until
    s = until - now
    if s == 0:
        return
    if not (shared and known[0] == s):
        known[0] = s
        known[1], known[2], known[3] = decays(s, cells[0, n], cells[1, n])
    a, b, k = known[1], known[2], known[3]
    after = a * u[n] + k * j[n]
    if after >= (a + k) * SLACK * lim[n]:
        after = live(n, u[n], j[n], after, now, until, cells, counts, limits, lim, spikes, report)
    u[n] = after
    j[n] *= b


@numba.njit(
    "void(i8, i8, i8[::1], f8[::1], i8[::1], i8[::1], f8[:, ::1], i8[::1], i8[::1], i8[::1], "
    "f8[:, ::1], b1, f8, i8[::1], f8[:, :, ::1], f8[:, ::1], f8[:, ::1], i8[:, ::1])",
    **OPTIONS,
)
def fire(
    first, last, samples, times, indices, offsets, weight, first_synapse, target, entry,
    cells, shared, duration, limits, written, counts, final, reports,
):  # fmt: skip
    """The spikes of some samples, as `dense.fire`; a neuron moves only when an arrival meets it."""
    size = cells.shape[1]
    u, j, at, known = np.empty(size), np.empty(size), np.empty(size), np.empty(4)
    weights = weight[0]
    known[0] = math.nan
    for i in range(first, last):
        sample, spikes, report = samples[i], written[i], reports[i]
        lim, count = cells[2].copy(), counts[sample]
        u[:], j[:], at[:], count[:] = 0.0, 0.0, 0.0, 0.0
        for e in range(offsets[sample], offsets[sample + 1]):
            now, row = times[e], indices[e]
            if not now <= duration or report[STATE] != DONE:
                break
            for s in range(first_synapse[row], first_synapse[row + 1]):
                n = target[s]
                _move(n, now, u, j, at, cells, shared, known, count, limits, lim, spikes, report)
                j[n] += weights[entry[s]]
        for n in range(size):
            _move(n, duration, u, j, at, cells, shared, known, count, limits, lim, spikes, report)
        copy(u, final[sample])
        number = report[WRITTEN]
        sort_spikes(spikes, number, max(1, number // 3))
