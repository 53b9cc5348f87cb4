"""All neurons of a group advanced together, with the decays worked out once for all."""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import lowest_bit, nonzero_mask
from spikewright.events.exact.sources.cell import FREE, PLAIN, decays
from spikewright.events.exact.sources.spikes import SLACK

WORD = 64


@numba.njit(**PLAIN)
def set_decays(s, cells, shared, a, b, k):
    """The decays of all neurons; where ``shared`` only those of the first."""
    for n in range(1 if shared else len(a)):
        a[n], b[n], k[n] = decays(s, cells[0, n], cells[1, n])


@numba.njit(**FREE)
def advance(u, new, j, weight, row, b, a, k, shared, lim, flags):
    """Let j decay by ``b`` and add a row; u is ``new``, and then ``new`` what a and k make of it.

    ``flags`` marks neurons that may reach ``lim`` in the interval. From a peak at height p,
    where j = p too, u falls to (a' + k') p at the end, and a' + k' >= a + k; so it suffices to
    look at the end.
    """
    size = len(u)
    if shared:
        x, y, z = b[0], a[0], k[0]
        least = (y + z) * SLACK
        for n in range(size):
            start = new[n]
            current = x * j[n] + weight[row, n]
            after = y * start + z * current
            u[n], j[n], new[n] = start, current, after
            flags[n] = after >= least * lim[n]
    else:
        for n in range(size):
            start = new[n]
            current = b[n] * j[n] + weight[row, n]
            after = a[n] * start + k[n] * current
            u[n], j[n], new[n] = start, current, after
            flags[n] = after >= (a[n] + k[n]) * SLACK * lim[n]


@numba.njit(**PLAIN)
def next_flag(flags, n):
    """The first neuron from n on that is marked, at least ``len(flags)`` if none is."""
    place = n // WORD * WORD
    if place >= len(flags):
        return place
    word = nonzero_mask(flags, place) >> np.uint64(n - place) << np.uint64(n - place)
    while word == 0:
        place += WORD
        if place >= len(flags):
            return place
        word = nonzero_mask(flags, place)
    return place + lowest_bit(word)
