"""The gradient with respect to one neuron's state, carried backwards past its spikes."""

import numba

from spikewright.events.exact.sources.cell import PLAIN, decays

LEAST_RISE = 1e-3


@numba.njit(**PLAIN)
def back(g_u, g_j, s, tau_mem, tau_syn):
    """(g_u, g_j) a time ``s`` earlier, without events between."""
    a, b, k = decays(s, tau_mem, tau_syn)
    return a * g_u, b * g_j + k * g_u


@numba.njit(**PLAIN)
def jump(g_u, current, direct, count, cells, n):
    """g_u just before a spike of neuron n; see `gradient`.

    Args:
        g_u: just after it.
        current: j at it.
        direct: gradient with respect to its time at fixed state of the neuron.
        count: gradient with respect to the number of the neuron's spikes.
    """
    tau_mem, threshold, reset = cells[0, n], cells[2, n], cells[3, n]
    total = direct - g_u * (current - reset) / tau_mem
    rise = max(current - threshold, LEAST_RISE * threshold) / tau_mem
    return count / threshold - total / rise
