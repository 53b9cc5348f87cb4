"""Pooling of planes: one number from each window, windows inside the plane only.

``x`` and ``y`` are (planes, lines, places in a line). Windows are ``high`` times ``wide``, one
every ``down`` lines and ``across`` places; those of 2 times 2 have code of their own, which
vectorises. Where windows overlap, gradients are added in the order of torch: window by window.
"""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import OPTIONS

real = "f4"

WIDE = np.dtype(real).type
PLANES = f"i8, i8, {real}[:, :, ::1], {real}[:, :, ::1]"
WINDOWS = "i8, i8, i8, i8"
SCALED = f"void({PLANES}, {WINDOWS}, {real})"


def _constant(line):
    """A function of one line that is compiled apart for windows of 2 times 2."""
    return numba.njit(inline="always")(line)


@_constant
def sum_line(x, y, p, line, high, wide, down, across, divisor):
    """The sum of each window of a line."""
    for k in range(y.shape[2]):
        total = WIDE(0)
        for i in range(high):
            for j in range(wide):
                total += x[p, line * down + i, k * across + j]
        y[p, line, k] = total / divisor


@numba.njit(SCALED, **OPTIONS)
def window_sum(first, last, x, y, high, wide, down, across, divisor):
    """The sum of each window, line after line, divided."""
    pairs = high == 2 and wide == 2 and across == 2
    for p in range(first, last):
        for line in range(y.shape[1]):
            if pairs:
                sum_line(x, y, p, line, 2, 2, down, 2, divisor)
            else:
                sum_line(x, y, p, line, high, wide, down, across, divisor)


@_constant
def share_line(gradient, x, p, line, high, wide, down, across, divisor):
    """Add the gradients of a line's windows, divided, to their places."""
    for i in range(high):
        for k in range(gradient.shape[2]):
            share = gradient[p, line, k] / divisor
            for j in range(wide):
                x[p, line * down + i, k * across + j] += share


@numba.njit(SCALED, **OPTIONS)
def window_sum_gradient(first, last, gradient, x, high, wide, down, across, divisor):
    """Add each window's gradient, divided, to all its places."""
    pairs = high == 2 and wide == 2 and across == 2
    for p in range(first, last):
        x[p] = 0
        for line in range(gradient.shape[1]):
            if pairs:
                share_line(gradient, x, p, line, 2, 2, down, 2, divisor)
            else:
                share_line(gradient, x, p, line, high, wide, down, across, divisor)


@_constant
def largest_line(x, y, chosen, p, line, high, wide, down, across):
    """The largest of each window of a line, and its number in the window."""
    for k in range(y.shape[2]):
        best, number = x[p, line * down, k * across], np.int32(0)
        for i in range(high):
            for j in range(wide):
                value = x[p, line * down + i, k * across + j]
                better = (value > best) | (value != value)
                best = value if better else best
                number = np.int32(i * wide + j) if better else number
        y[p, line, k] = best
        chosen[p, line, k] = number


@numba.njit(f"void({PLANES}, u1[:, :, ::1], {WINDOWS})", **OPTIONS)
def largest(first, last, x, y, chosen, high, wide, down, across):
    """The largest of each window, and its number in the window: the first of several."""
    pairs = high == 2 and wide == 2 and across == 2
    for p in range(first, last):
        for line in range(y.shape[1]):
            if pairs:
                largest_line(x, y, chosen, p, line, 2, 2, down, 2)
            else:
                largest_line(x, y, chosen, p, line, high, wide, down, across)


@_constant
def chosen_line(gradient, x, chosen, p, line, high, wide, down, across):
    """Add the gradients of a line's windows to their chosen places."""
    for i in range(high):
        for k in range(gradient.shape[2]):
            value, number = gradient[p, line, k], chosen[p, line, k]
            for j in range(wide):
                share = value if number == i * wide + j else WIDE(0)
                x[p, line * down + i, k * across + j] += share


@numba.njit(f"void({PLANES}, u1[:, :, ::1], {WINDOWS})", **OPTIONS)
def largest_gradient(first, last, gradient, x, chosen, high, wide, down, across):
    """Add each window's gradient to its chosen place."""
    pairs = high == 2 and wide == 2 and across == 2
    for p in range(first, last):
        x[p] = 0
        for line in range(gradient.shape[1]):
            if pairs:
                chosen_line(gradient, x, chosen, p, line, 2, 2, down, 2)
            else:
                chosen_line(gradient, x, chosen, p, line, high, wide, down, across)


@numba.njit(f"void(i8, i8, i8[::1], i4[::1], i8, i8, {real}[:, :, :, ::1], {WINDOWS})", **OPTIONS)
def reach(first, last, indptr, index, lines, places, y, high, wide, down, across):
    """Set to one what lies in a window with a listed place; ``y`` is (rows, channels, ...)."""
    for r in range(first, last):
        for e in range(indptr[r], indptr[r + 1]):
            c, p = index[e] // (lines * places), index[e] % (lines * places)
            i, j = p // places, p % places
            for line in range(max(0, (i - high) // down + 1), min(i // down + 1, y.shape[2])):
                for k in range(max(0, (j - wide) // across + 1), min(j // across + 1, y.shape[3])):
                    y[r, c, line, k] = 1
