"""What several kernels of the grid call.

Synapses are (weight, first, target, entry), without a table (weight, -, -, -) with row after row
of weights. Arrivals are (step, row, offsets). Feedback is (synapses, first_row, delay in steps),
all empty where there is none. A layer is (arrivals, synapses, feedback, coefficients).
"""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import NoAlias

INLINE = {"nogil": True, "boundscheck": False, "error_model": "numpy", "pipeline_class": NoAlias}
FUSED = {**INLINE, "fastmath": {"contract"}}
FREE = {**INLINE, "fastmath": {"contract", "reassoc"}}

SYNAPSES = "Tuple((f8[::1], i8[::1], i8[::1], i8[::1]))"
ARRIVALS = "Tuple((i4[::1], i8[::1], i8[::1]))"
FEEDBACK = f"Tuple(({SYNAPSES}, i8[::1], i8[::1]))"
LAYER = f"Tuple(({ARRIVALS}, {SYNAPSES}, {FEEDBACK}, f8[:, ::1]))"


@numba.njit(**INLINE)
def add_row(row, synapses, current):
    """Let the weights of a row reach their targets."""
    weight, first, target, entry = synapses
    if len(first) > 0:
        for s in range(first[row], first[row + 1]):
            current[target[s]] += weight[entry[s]]
    else:
        add(weight[row * len(current) : (row + 1) * len(current)], current)


@numba.njit(**INLINE)
def add_arrivals(n, e, end, arrivals, synapses, current):
    """Let those of step n act, of which ``e`` is the first; where the later ones begin."""
    step, row, _ = arrivals
    while e < end and step[e] == n:
        add_row(row[e], synapses, current)
        e += 1
    return e


@numba.njit(**INLINE)
def add(values, total):
    """``total += values``."""
    for m in range(len(total)):
        total[m] += values[m]


@numba.njit(**INLINE)
def make_waits(delay):
    """Room for (pending, link, slot): what each row brings next, and the ring of lists of rows."""
    longest = 0
    for d in delay:
        longest = max(longest, d)
    rows = len(delay)
    return np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(longest + 2, np.int64)


@numba.njit(**INLINE)
def place(row, step, slot, link):
    """Put a row on the list of a step; a ring of lists, of which each holds a row once."""
    s = step % len(slot)
    link[row] = slot[s]
    slot[s] = row
