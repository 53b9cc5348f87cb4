"""The membranes of neurons without a threshold, forward in time."""

import math

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import NoAlias
from spikewright.events.exact.sources.cell import decays, peak_time

PLAIN = {"nogil": True, "boundscheck": False, "error_model": "numpy", "pipeline_class": NoAlias}
OPTIONS = {**PLAIN, "cache": True}
ROWS = "f8[:, ::1], i8[::1], i8[::1], i8[::1]"


@numba.njit(**PLAIN)
def add_row(j, row, weight, start, target, entry):
    """An arrival through ``row``."""
    if len(start) == 0:
        for n in range(len(j)):
            j[n] += weight[row, n]
    else:
        for s in range(start[row], start[row + 1]):
            j[target[s]] += weight[0, entry[s]]


@numba.njit(**PLAIN)
def _fill_decays(s, tau_mem, tau_syn, a, b, k):
    """Decays of all neurons; taus of one value are shared."""
    x, y, z = decays(s, tau_mem[0], tau_syn[0])
    for n in range(len(a)):
        if len(tau_mem) > 1:
            x, y, z = decays(s, tau_mem[n], tau_syn[n])
        a[n], b[n], k[n] = x, y, z


@numba.njit(**PLAIN)
def _flow(u, j, a, b, k):
    for n in range(len(u)):
        u[n] = a[n] * u[n] + k[n] * j[n]
        j[n] *= b[n]


@numba.njit(
    f"void(i8, i8, f8[::1], i8[::1], f8[::1], i8[::1], i8[::1], {ROWS}, f8[::1], f8[::1], "
    "f8[:, ::1])",
    **OPTIONS,
)
def values_at(
    first, last, places, starts, times, rows, offsets,
    weight, start, target, entry, tau_mem, tau_syn, values,
):  # fmt: skip
    """u of some samples at their places; an arrival at a place has not moved u yet."""
    neurons = values.shape[1]
    u, j = np.empty(neurons), np.empty(neurons)
    a, b, k = np.empty(neurons), np.empty(neurons), np.empty(neurons)
    for sample in range(first, last):
        for n in range(neurons):
            u[n], j[n] = 0.0, 0.0
        now, event = 0.0, offsets[sample]
        for place in range(starts[sample], starts[sample + 1]):
            while event < offsets[sample + 1] and times[event] < places[place]:
                _fill_decays(times[event] - now, tau_mem, tau_syn, a, b, k)
                _flow(u, j, a, b, k)
                add_row(j, rows[event], weight, start, target, entry)
                now = times[event]
                event += 1
            _fill_decays(places[place] - now, tau_mem, tau_syn, a, b, k)
            _flow(u, j, a, b, k)
            for n in range(neurons):
                values[place, n] = u[n]
            now = places[place]


@numba.njit(**PLAIN)
def _look_for_peak(u, j, s, tau_mem, tau_syn):
    """Where in (0, s) u' goes from above 0 to below, and u there; NaN if it does not."""
    a, b, k = decays(s, tau_mem, tau_syn)
    if not (j > u and b * j < a * u + k * j):
        return math.nan, math.nan
    at = min(max(peak_time(u, j, tau_mem, tau_syn), 0.0), s)
    return at, j * math.exp(-at / tau_syn)


@numba.njit(
    f"void(i8, i8, f8[::1], i8[::1], i8[::1], {ROWS}, f8[::1], f8[::1], f8, "
    "f8[:, ::1], f8[:, ::1], i8[:, ::1], f8[:, ::1])",
    **OPTIONS,
)
def largest(
    first, last, times, rows, offsets, weight, start, target, entry, tau_mem, tau_syn, duration,
    best, when, arrival, rise,
):  # fmt: skip
    """The largest u of some samples, and where it is.

    Where u rises up to an arrival and falls from there on, ``arrival`` is its place and ``rise``
    is u' just before it; else ``arrival`` is -1.
    """
    neurons = best.shape[1]
    wide = 1 if len(tau_mem) > 1 else 0
    u, j = np.empty(neurons), np.empty(neurons)
    a, b, k = np.empty(neurons), np.empty(neurons), np.empty(neurons)
    for sample in range(first, last):
        for n in range(neurons):
            u[n], j[n] = 0.0, 0.0
            best[sample, n], when[sample, n], arrival[sample, n] = 0.0, 0.0, -1
        now = 0.0
        for event in range(offsets[sample], offsets[sample + 1] + 1):
            inside = event < offsets[sample + 1] and times[event] < duration
            right = times[event] if inside else duration
            for n in range(neurons):
                mem, syn = tau_mem[n * wide], tau_syn[n * wide]
                at, top = _look_for_peak(u[n], j[n], right - now, mem, syn)
                if top > best[sample, n]:
                    best[sample, n] = top
                    when[sample, n] = now + at
                    arrival[sample, n] = -1
            _fill_decays(right - now, tau_mem, tau_syn, a, b, k)
            _flow(u, j, a, b, k)
            for n in range(neurons):
                if u[n] > best[sample, n]:
                    best[sample, n] = u[n]
                    when[sample, n] = right
                    arrival[sample, n] = event if inside else -1
                    rise[sample, n] = (j[n] - u[n]) / tau_mem[n * wide]
            if not inside:
                break
            add_row(j, rows[event], weight, start, target, entry)
            now = right
