"""Sensitivities of a loss to (u, i), integrated backwards over the steps.

Of the state of a sample, row 0 is g_u and row 1 g_i, the sensitivity to the membrane and to the
current. Row 2 is by how much g_i rises over a step: an arrival at step n is worth w g_i, so its
time's gradient is w dg_i/dt, and the difference keeps what the closed form g_i / tau_syn -
g_u / tau_mem loses on a grid: where g_i does not change, the time does not matter. (Of two nearly
equal terms the closed form's is off by dt / tau_syn of each, more than a loss over a long trial
leaves of them.) Rows 3 to 5, where the time constants have gradients, are the sensitivities to
(u, j) of sum g_u (a' u + k' j), and to j of sum (g_u k' + g_i b') j, which are the gradients of
tau_mem and of tau_syn: derivatives of coefficients times what they multiply. So no membrane needs
to be kept.
"""

import numba

from spikewright.events.grid.sources.shared import (
    FREE,
    FUSED,
    INLINE,
    add,
)

A, K, B, THRESHOLD, RESET = 0, 1, 2, 3, 4
RATE_MEM, RATE_STEP, A_MEM, K_MEM, K_SYN, B_SYN = 5, 6, 7, 8, 9, 10
TAU_MEM, TAU_SYN, D_THRESHOLD, D_RESET = 0, 1, 2, 3


@numba.njit(**FUSED)
def back(a, k, b, gu, gi, rise):
    """One step."""
    for m in range(len(gu)):
        before = b[m] * gi[m] + k[m] * gu[m]
        rise[m] = gi[m] - before
        gi[m] = before
        gu[m] = a[m] * gu[m]


@numba.njit(**FUSED)
def back_tau(cells, gu, gi, qu, qi, h):
    """One step of the rows for the time constants, before that of `back`."""
    a, k, b, da = cells[A], cells[K], cells[B], cells[A_MEM]
    dk, ds, db = cells[K_MEM], cells[K_SYN], cells[B_SYN]
    for m in range(len(gu)):
        h[m] = b[m] * h[m] + ds[m] * gu[m] + db[m] * gi[m]
        qi[m] = b[m] * qi[m] + k[m] * qu[m] + dk[m] * gu[m]
        qu[m] = a[m] * qu[m] + da[m] * gu[m]


@numba.njit(**FREE)
def meet_all(weight, gi, rise, gradient):
    """An arrival at all neurons: adds to the gradient of the weights, returns that of its step."""
    total = 0.0
    for m in range(len(gi)):
        gradient[m] += gi[m]
        total += weight[m] * rise[m]
    return total


@numba.njit(**FUSED)
def meet_all_tau(weight, qi, h, d_mem, d_syn):
    """The part of an arrival at all neurons in the gradient of the time constants."""
    for m in range(len(qi)):
        d_mem[m] += weight[m] * qi[m]
        d_syn[m] += weight[m] * h[m]


@numba.njit(**INLINE)
def meet(row, synapses, cells, state, gradient, d_cells, timed):
    """An arrival through a row; the gradient of its time, where ``timed``."""
    weight, first, target, entry = synapses
    gi, rise, size = state[1], state[2], state.shape[1]
    with_tau, rate = len(state) > 3, cells[RATE_STEP, 0]
    if len(first) == 0:
        here = weight[row * size : (row + 1) * size]
        if with_tau:
            meet_all_tau(here, state[4], state[5], d_cells[TAU_MEM], d_cells[TAU_SYN])
        there = gradient[row * size : (row + 1) * size]
        if timed:
            return rate * meet_all(here, gi, rise, there)
        add(gi, there)
        return 0.0
    total = 0.0
    for s in range(first[row], first[row + 1]):
        m, w = target[s], weight[entry[s]]
        gradient[entry[s]] += gi[m]
        total += w * rise[m]
        if with_tau:
            d_cells[TAU_MEM, m] += w * state[4, m]
            d_cells[TAU_SYN, m] += w * state[5, m]
    return rate * total


@numba.njit(**INLINE)
def undo_step(cells, state):
    """One step backwards, for all rows of the state."""
    if len(state) > 3:
        back_tau(cells, state[0], state[1], state[3], state[4], state[5])
    back(cells[A], cells[K], cells[B], state[0], state[1], state[2])


@numba.njit(**INLINE)
def undo_arrivals(n, e, begin, arrivals, synapses, cells, state, gradient, d_time, d_cells):
    """The arrivals of step n, the last of them at ``e - 1``; where those before it end."""
    step, row, _ = arrivals
    timed = len(d_time) > 0
    while e > begin and step[e - 1] >= n:
        e -= 1
        if step[e] == n:
            moved = meet(row[e], synapses, cells, state, gradient, d_cells, timed)
            if timed:
                d_time[e] = moved
    return e
