"""From dense spikes to lists of events, by way of one bit for each neuron and step.

``bits[t, w]`` holds neurons ``64 w`` to ``64 w + 63`` of all samples side by side, sample by
sample. A row of the lists is one sample at one step, rows in the order (time, batch).
"""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import NoAlias, count_bits, lowest_bit
from spikewright.engine.sources.marks import mark_row

real = "f4"

OPTIONS = {"nogil": True, "cache": True, "boundscheck": False, "pipeline_class": NoAlias}
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
ONE = np.uint64(1)


@numba.njit(f"void(i8, i8, {real}[:, ::1], u8[:, ::1], u8[::1])", **OPTIONS)
def mark(first, last, x, bits, graded):
    """Set the bits of steps; ``graded[t]`` is not zero if any value is neither 0 nor 1."""
    for t in range(first, last):
        graded[t] = mark_row(x[t], x.shape[1], bits[t], 0)


@numba.njit("void(i8, i8, u8[:, ::1], i8[::1])", **OPTIONS)
def count_steps(first, last, bits, counted):
    """``counted[t + 1]``: events of each step from ``first`` to ``last``."""
    for t in range(first, last):
        total = 0
        for w in range(bits.shape[1]):
            total += count_bits(bits[t, w])
        counted[t + 1] = total


@numba.njit(nogil=True, boundscheck=False)
def _list_four(mask, base, index, k):
    """Write the places of the four lowest bits, whether set or not; return the other bits.

    That is faster than to guess how many there are. What is too much is written over later.
    """
    for e in range(4):
        index[k + e] = base + lowest_bit(mask)
        mask &= mask - ONE
    return mask


@numba.njit("void(i8, i8, i8, i8, u8[:, ::1], i8[::1], i8[::1], i4[::1])", **OPTIONS)
def list_rows(first, last, batch, size, bits, starts, indptr, index):
    """Write the neurons of each row's events, in ascending order, and where each row ends.

    The events of step t are number ``starts[t]`` to ``starts[t + 1] - 1``.
    """
    limit = starts[last]
    for t in range(first, last):
        k = starts[t]
        for b in range(batch):
            begin, end = b * size, (b + 1) * size
            for w in range(begin // 64, (end + 63) // 64):
                mask = bits[t, w]
                if 64 * w < begin:
                    mask &= ALL << np.uint64(begin - 64 * w)
                if 64 * w + 64 > end:
                    mask &= ALL >> np.uint64(64 * w + 64 - end)
                base, stop = 64 * w - begin, k + count_bits(mask)
                if stop + 4 <= limit:
                    mask = _list_four(mask, base, index, k)
                    k += 4
                    while k < stop:
                        mask = _list_four(mask, base, index, k)
                        k += 4
                else:
                    while mask != 0:
                        index[k] = base + lowest_bit(mask)
                        mask &= mask - ONE
                        k += 1
                k = stop
            indptr[t * batch + b + 1] = k


@numba.njit(f"b1(i8, i8, {real}[:, ::1], i8[::1], i4[::1], u1[::1])", **OPTIONS)
def read_counts(first, last, x, indptr, index, count):
    """Write the value of each event of some rows; false if one is no number from 1 to 255."""
    for row in range(first, last):
        for k in range(indptr[row], indptr[row + 1]):
            value = x[row, index[k]]
            if not (value >= 1 and value <= 255 and value == np.floor(value)):
                return False
            count[k] = np.uint8(value)
    return True
