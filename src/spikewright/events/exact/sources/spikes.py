"""What a neuron does in an interval between arrivals, and the list of spikes of a sample.

A list has rows of time, unit and j at the spike.
"""

import math

import numba

from spikewright.events.exact.sources.cell import NEVER, PLAIN, crossing, decays

DONE, FULL, ENDLESS = 0, 1, 2
"""How a sample ended: well, for want of room in its lists, or with a neuron without bound."""
WRITTEN, STATE, STOPPED, UNIT, EVENTS = 0, 1, 2, 3, 4
"""Places in the report of a sample: spikes, how it ended, neurons stopped, the one without bound,
arrivals."""
TIME, NEURON, CURRENT = 0, 1, 2
# A bound that u at the end of an interval must reach is lowered by this for rounding.
SLACK = 1 - 1e-12


@numba.njit(**PLAIN)
def spikes_at(n, time, current, counts, limits, lim, spikes, report):
    """List a spike of neuron n, or report why there is none.

    Args:
        limits: spikes of a neuron after which it is silent, and after which it is endless.
        lim: threshold of each neuron, none from now on if it is silent.
    """
    k = report[WRITTEN]
    if counts[n] == limits[0]:
        report[STOPPED] += 1
        lim[n] = NEVER
        return False
    if counts[n] == limits[1]:
        report[STATE], report[UNIT] = ENDLESS, n
        spikes[0, TIME] = time
        return False
    if k == len(spikes):
        report[STATE] = FULL
        return False
    counts[n] += 1
    spikes[k, TIME], spikes[k, NEURON], spikes[k, CURRENT] = time, n, current
    report[WRITTEN] = k + 1
    return True


@numba.njit(**PLAIN)
def live(n, u, j, after, now, until, cells, counts, limits, lim, spikes, report):
    """All spikes of neuron n from ``now`` to ``until``; u at the end.

    Args:
        u, j: now.
        after: u at the end without a spike.
    """
    tau_mem, tau_syn = cells[0, n], cells[1, n]
    passed, length = 0.0, until - now
    while True:
        s = crossing(u, j, after, length - passed, lim[n], tau_mem, tau_syn)
        if s == NEVER:
            return after
        passed = min(passed + s, length)
        j *= math.exp(-s / tau_syn)
        if not spikes_at(n, min(now + passed, until), j, counts, limits, lim, spikes, report):
            return after
        u = cells[3, n]
        a, _, k = decays(length - passed, tau_mem, tau_syn)
        after = a * u + k * j
        if not after >= (a + k) * SLACK * lim[n]:
            return after


@numba.njit(**PLAIN)
def sort_spikes(spikes, number, gap):
    """Sort by time and then by unit (Shell's method, from ``gap`` on; 1 if nearly in order)."""
    while gap > 0:
        for i in range(gap, number):
            time, unit, current = spikes[i, TIME], spikes[i, NEURON], spikes[i, CURRENT]
            place = i
            while place >= gap:
                other = place - gap
                before = spikes[other, TIME]
                if before < time or (before == time and spikes[other, NEURON] < unit):
                    break
                spikes[place, TIME], spikes[place, NEURON] = before, spikes[other, NEURON]
                spikes[place, CURRENT] = spikes[other, CURRENT]
                place = other
            spikes[place, TIME], spikes[place, NEURON] = time, unit
            spikes[place, CURRENT] = current
        gap = 1 if gap == 2 else gap * 5 // 11
