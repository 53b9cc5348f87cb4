"""EventProp's way back through `fire`: the sensitivities of `back`, and what spikes do to them."""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import OPTIONS
from spikewright.events.grid.sources.back import (
    D_RESET,
    D_THRESHOLD,
    RATE_MEM,
    RESET,
    TAU_MEM,
    THRESHOLD,
    meet,
    undo_arrivals,
    undo_step,
)
from spikewright.events.grid.sources.shared import INLINE, LAYER, make_waits, place

LEAST_RISE = 1e-3
SPIKES = "Tuple((i4[::1], i4[::1], f8[::1], i8[::1]))"


@numba.njit(**INLINE)
def jump(m, slack, g_time, g_count, cells, state, d_cells):
    """A spike of neuron m: from the sensitivity after the reset to that before.

    With s = tau_mem u', the mean over its step, j - reset = s + threshold - reset, and the time's
    gradient G = g_time - g_u (j - reset) / tau_mem:
    g_u <- g_count / threshold - G tau_mem / s, and 1 / s is at most 1000 / threshold. The
    threshold acts as -u.
    """
    threshold, reset = cells[THRESHOLD, m], cells[RESET, m]
    after = state[0, m]
    total = g_time / cells[RATE_MEM, m] - after * (slack + threshold - reset)
    before = g_count / threshold - total / max(slack, LEAST_RISE * threshold)
    d_cells[D_THRESHOLD, m] -= before
    d_cells[D_RESET, m] += after
    state[0, m] = before
    if len(state) > 3:
        d_cells[TAU_MEM, m] += state[3, m] * reset
        state[3, m] = 0.0


@numba.njit(**INLINE)
def chain(begin, end, unit, newest, before):
    """For each spike of a sample the one before of its neuron, -1 for none."""
    newest[:] = -1
    for k in range(begin, end):
        before[k - begin] = newest[unit[k]]
        newest[unit[k]] = k


@numba.njit(**INLINE)
def expect(n, c, begin, step, unit, feedback, waits):
    """Put rows on the lists of the steps at which spikes arrive, for spikes down to the first
    that cannot arrive as late as step n; a row on its way back from a later spike waits."""
    _, first_row, delay = feedback
    pending, link, slot = waits
    reach = len(slot) - 1
    while c > begin and step[c - 1] + reach >= n:
        c -= 1
        for row in range(first_row[unit[c]], first_row[unit[c] + 1]):
            due = step[c] + 1 + delay[row]
            if pending[row] < 0 and due <= n:
                pending[row] = c
                place(row, due, slot, link)
    return c


@numba.njit(**INLINE)
def undo_feedback(
    n, c, begin, spikes, feedback, before, waits, cells, state, g_time, gradients, d_cells
):
    """What arrived at step n of the neurons' own spikes, of which those from c on are expected."""
    step = spikes[0]
    synapses, _, delay = feedback
    pending, link, slot = waits
    gradient, d_delay = gradients
    row = slot[n % len(slot)]
    slot[n % len(slot)] = -1
    while row >= 0:
        after, k = link[row], pending[row]
        moved = meet(row, synapses, cells, state, gradient, d_cells, True)
        g_time[k] += moved
        d_delay[row] += moved
        earlier = before[k - begin]
        pending[row] = earlier if earlier >= c else -1
        if pending[row] >= 0:
            place(row, step[earlier] + 1 + delay[row], slot, link)
        row = after


SEEDS = "Tuple((f8[::1], f8[:, ::1], f8[:, :, ::1]))"
SUMS = "Tuple((f8[::1], f8[:, ::1], f8[:, ::1], f8[:, ::1], f8[:, :, ::1]))"


@numba.njit(f"void(i8, {LAYER}, {SPIKES}, {SEEDS}, {SUMS}, i8, i8)", **OPTIONS)
def unfire(steps, layer, spikes, seeds, sums, first, last):
    """The gradients of `fire` for some parts of the batch.

    Args:
        seeds: gradients of the spike times, to which what arrived of them is added; of counts;
            and the state at the end, in row 0 the gradient of the last membrane.
        sums: of arrival times, if not empty; and for each part of the batch of weights, feedback
            weights, feedback delays and the neurons' parameters.
    """
    arrivals, synapses, feedback, cells = layer
    step, unit, slack, bounds = spikes
    g_time, g_count, states = seeds
    d_time, d_cells = sums[0], sums[4]
    batch, size = len(bounds) - 1, cells.shape[1]
    fed, parts = len(feedback[1]) > 0, len(d_cells)
    waits = make_waits(feedback[2])
    newest = np.empty(size if fed else 0, np.int64)
    for part in range(first, last):
        gradient, d_own = sums[1][part], d_cells[part]
        d_fed = (sums[2][part], sums[3][part])
        for sample in range(batch * part // parts, batch * (part + 1) // parts):
            state, begin = states[sample], bounds[sample]
            k = c = bounds[sample + 1]
            e, least = arrivals[2][sample + 1], arrivals[2][sample]
            before = np.empty(k - begin if fed else 0, np.int64)
            waits[0][:], waits[2][:] = -1, -1
            if fed:
                chain(begin, k, unit, newest, before)
            for n in range(steps - 1, -1, -1):
                while k > begin and step[k - 1] == n:
                    k -= 1
                    m = unit[k]
                    jump(m, slack[k], g_time[k], g_count[sample, m], cells, state, d_own)
                undo_step(cells, state)
                e = undo_arrivals(
                    n, e, least, arrivals, synapses, cells, state, gradient, d_time, d_own
                )
                if fed:
                    c = expect(n, c, begin, step, unit, feedback, waits)
                    undo_feedback(
                        n, c, begin, spikes, feedback, before, waits, cells, state,
                        g_time, d_fed, d_own,
                    )  # fmt: skip
