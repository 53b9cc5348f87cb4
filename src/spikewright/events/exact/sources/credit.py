"""What membranes owe to each arrival, backward in time.

A functional sum of c_p u(t_p) over places p is sum over arrivals of w G(t), the current's kernel
being u = sum of w k(t_p - t): G(t) = sum of c_p k(t_p - t) over p later than t. It is walked as
the pair g_u = sum of c_p a(t_p - t), g_j = G, the adjoint of (u, j). Nothing of the forward pass is
needed, and the derivatives by the taus are those of G, walked alongside.
"""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import NoAlias
from spikewright.events.exact.sources.cell import decays
from spikewright.events.exact.sources.slopes import slopes

PLAIN = {"nogil": True, "boundscheck": False, "error_model": "numpy", "pipeline_class": NoAlias}
OPTIONS = {**PLAIN, "cache": True}
ROWS = "f8[:, ::1], i8[::1], i8[::1], i8[::1]"


@numba.njit(**PLAIN)
def _back(g, s, mem, syn, tangents):
    """Take the rows g_u, g_j, dg_u/dtau_mem, dg_j/dtau_mem, dg_j/dtau_syn back by ``s``."""
    wide = 1 if len(mem) > 1 else 0
    a, b, k = decays(s, mem[0], syn[0])
    by_mem, by_syn = slopes(s, mem[0], syn[0], a, b, k) if tangents else (0.0, 0.0)
    for n in range(g.shape[1]):
        if wide and n > 0:
            a, b, k = decays(s, mem[n], syn[n])
            if tangents:
                by_mem, by_syn = slopes(s, mem[n], syn[n], a, b, k)
        if tangents:
            i = n * wide
            g[4, n] = b * g[4, n] + b * s / (syn[i] * syn[i]) * g[1, n] + by_syn * g[0, n]
            g[3, n] = b * g[3, n] + k * g[2, n] + by_mem * g[0, n]
            g[2, n] = a * (g[2, n] + s / (mem[i] * mem[i]) * g[0, n])
        g[1, n] = b * g[1, n] + k * g[0, n]
        g[0, n] *= a


@numba.njit(
    "void(i8, i8, f8[::1], i8[::1], f8[:, ::1], f8[::1], i8[::1], f8[::1], f8[::1], b1, "
    "f8[:, :, ::1])",
    **OPTIONS,
)
def credit(first, last, places, starts, given, times, offsets, tau_mem, tau_syn, tangents, found):
    """G, dG/dt and, with ``tangents``, dG/dtau_mem and dG/dtau_syn at the arrivals of samples.

    Args:
        given: (places, neurons or 1), the c_p.
        found: (arrivals, 2 or 4, neurons or 1); 1 where all neurons have the same.
    """
    wide = 1 if len(tau_mem) > 1 else 0
    each = 1 if given.shape[1] > 1 else 0
    g = np.empty((5, found.shape[2]))
    for sample in range(first, last):
        for n in range(g.shape[1]):
            g[0, n], g[1, n], g[2, n], g[3, n], g[4, n] = 0.0, 0.0, 0.0, 0.0, 0.0
        place = starts[sample + 1] - 1
        now = places[place] if place >= starts[sample] else 0.0
        for event in range(offsets[sample + 1] - 1, offsets[sample] - 1, -1):
            while place >= starts[sample] and places[place] > times[event]:
                _back(g, now - places[place], tau_mem, tau_syn, tangents)
                for n in range(g.shape[1]):
                    g[0, n] += given[place, n * each]
                now = places[place]
                place -= 1
            if now > times[event]:
                _back(g, now - times[event], tau_mem, tau_syn, tangents)
                now = times[event]
            for n in range(g.shape[1]):
                found[event, 0, n] = g[1, n]
                found[event, 1, n] = g[1, n] / tau_syn[n * wide] - g[0, n] / tau_mem[n * wide]
                if tangents:
                    found[event, 2, n] = g[3, n]
                    found[event, 3, n] = g[4, n]


@numba.njit(
    "void(i8, i8, f8[::1], f8, f8[:, :, :, ::1], f8[:, :, ::1])",
    **OPTIONS,
)
def interpolate(first, last, times, duration, series, found):
    """Some arrivals' values of functions given by Chebyshev series on equal panels of the trial.

    Args:
        series: (panels, terms, functions, neurons or 1).
        found: (arrivals, functions, neurons or 1), 0 from the trial's end on.
    """
    panels, terms = series.shape[0], series.shape[1]
    for event in range(first, last):
        values = found[event]
        for i in range(values.shape[0]):
            for n in range(values.shape[1]):
                values[i, n] = 0.0
        if not times[event] < duration:
            continue
        place = times[event] * (panels / duration)
        panel = min(int(place), panels - 1)
        x = 2 * (place - panel) - 1
        now, after = 1.0, x
        for term in range(terms):
            for i in range(values.shape[0]):
                for n in range(values.shape[1]):
                    values[i, n] += now * series[panel, term, i, n]
            now, after = after, 2 * x * after - now


@numba.njit(
    f"void(i8, i8, i8[::1], i8[::1], {ROWS}, f8[:, :, ::1], f8[:, ::1])",
    **OPTIONS,
)
def gather(first, last, rows, offsets, weight, start, target, entry, found, total):
    """``total[b]``: sum over the arrivals of sample b of w G."""
    each = 1 if found.shape[2] > 1 else 0
    dense, neurons = len(start) == 0, total.shape[1]
    for sample in range(first, last):
        for n in range(neurons):
            total[sample, n] = 0.0
        for event in range(offsets[sample], offsets[sample + 1]):
            row = rows[event]
            begin, end = (0, neurons) if dense else (start[row], start[row + 1])
            for s in range(begin, end):
                n = s if dense else target[s]
                w = weight[row, n] if dense else weight[0, entry[s]]
                total[sample, n] += w * found[event, 0, n * each]


@numba.njit(
    f"void(i8, i8, i8, i8[::1], i8[::1], {ROWS}, f8[:, :, ::1], f8[:, ::1], "
    "f8[::1], f8[:, :, ::1], f8[:, :, ::1])",
    **OPTIONS,
)
def spread(
    first, last, parts, rows, offsets, weight, start, target, entry, found, gradient,
    times, weights, taus,
):  # fmt: skip
    """The gradients of what `gather` gives, ``gradient`` being that of its total.

    Weights and taus of part p of the samples go to ``weights[p]`` and ``taus[p]``.
    """
    each = 1 if found.shape[2] > 1 else 0
    dense, neurons, batch = len(start) == 0, gradient.shape[1], len(offsets) - 1
    for part in range(first, last):
        for sample in range(batch * part // parts, batch * (part + 1) // parts):
            for event in range(offsets[sample], offsets[sample + 1]):
                row, total = rows[event], 0.0
                begin, end = (0, neurons) if dense else (start[row], start[row + 1])
                for s in range(begin, end):
                    n = s if dense else target[s]
                    i, place = (row, n) if dense else (0, entry[s])
                    value = gradient[sample, n]
                    weights[part, i, place] += value * found[event, 0, n * each]
                    value *= weight[i, place]
                    total += value * found[event, 1, n * each]
                    for tau in range(found.shape[1] - 2):
                        taus[part, tau, n] += value * found[event, 2 + tau, n * each]
                times[event] = total
