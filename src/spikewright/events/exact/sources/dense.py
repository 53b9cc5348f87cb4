"""Spikes of neurons that all arrivals reach, without feedback."""

import numba
import numpy as np

from spikewright.events.exact.sources.cell import OPTIONS, copy
from spikewright.events.exact.sources.group import WORD, advance, next_flag, set_decays
from spikewright.events.exact.sources.spikes import DONE, STATE, WRITTEN, live, sort_spikes


@numba.njit(
    "void(i8, i8, i8[::1], f8[::1], i8[::1], i8[::1], f8[:, ::1], f8[:, ::1], b1, f8, i8[::1], "
    "f8[:, :, ::1], f8[:, ::1], f8[:, ::1], i8[:, ::1])",
    **OPTIONS,
)
def fire(
    first, last, samples, times, indices, offsets, weight, cells, shared, duration, limits,
    written, counts, final, reports,
):  # fmt: skip
    """The spikes of some samples.

    Args:
        cells: tau_mem, tau_syn, threshold and reset of each neuron.
        limits: see `spikes.spikes_at`.
        written: (samples, room, 3), written: lists of spikes, one for each of ``samples``.
        counts, final: written, a row for each sample of the batch.
        reports: written, see `spikes`.
    """
    size = weight.shape[1]
    u, new, j = np.empty(size), np.empty(size), np.empty(size)
    a, b, k, old = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    flags = np.zeros((size + WORD - 1) // WORD * WORD, np.uint8)
    for i in range(first, last):
        sample, spikes, report = samples[i], written[i], reports[i]
        lim, count = cells[2].copy(), counts[sample]
        new[:], j[:], b[:], count[:] = 0.0, 0.0, 1.0, 0.0
        stop = offsets[sample + 1]
        for e in range(offsets[sample], stop):
            now = times[e]
            if not now <= duration or report[STATE] != DONE:
                break
            until = min(times[e + 1], duration) if e + 1 < stop else duration
            for n in range(1 if shared else size):
                old[n] = b[n]
            set_decays(until - now, cells, shared, a, b, k)
            advance(u, new, j, weight, indices[e], old, a, k, shared, lim, flags)
            n = next_flag(flags, 0)
            while n < size and report[STATE] == DONE:
                new[n] = live(
                    n, u[n], j[n], new[n], now, until, cells, count, limits, lim, spikes, report
                )
                n = next_flag(flags, n + 1)
        copy(new, final[sample])
        sort_spikes(spikes, report[WRITTEN], 1)
