"""Products of lists of events with a matrix: one row of it for each event.

``rows[i]`` are the weights from input i to all outputs.
"""

import numba
import numpy as np

from spikewright.engine.cpu.runs import add_runs, block_side, copy_run, dot_run, transpose_block
from spikewright.engine.cpu.vectorise import OPTIONS

real = "f4"

WIDE = np.dtype(real).type
SIDE = block_side(np.dtype(real).itemsize)


@numba.njit(nogil=True, boundscheck=False)
def add_listed(total, at, source, index, count, first, last):
    """``total[at] += sum of count * source[index]``, in order; no counts stand for ones."""
    length = source.shape[1]
    if len(count) == 0:
        add_runs(total, at * length, length, source, 0, index, length, None, first, last)
        return
    for e in range(first, last):
        values, times = source[index[e]], WIDE(count[e])
        for n in range(length):
            total[at, n] += times * values[n]


@numba.njit(
    f"void(i8, i8, i8[::1], i4[::1], u1[::1], {real}[:, ::1], {real}[::1], {real}[:, ::1])",
    **OPTIONS,
)
def product(first, last, indptr, index, count, rows, bias, y):
    """``y[r] = bias + sum of count * rows[i]`` over the events (i, count) of row r, in order."""
    for r in range(first, last):
        copy_run(y, r * len(bias), len(bias), bias, 0)
        add_listed(y, r, rows, index, count, indptr[r], indptr[r + 1])


@numba.njit(
    "void(i8, i8, i8, i8, i8[::1], i4[::1], u1[::1], i8[:, ::1], i4[::1], u1[::1])", **OPTIONS
)
def transpose(first, last, block, inputs, indptr, index, count, start, row, times):
    """Sort the events of each block of rows by input: lists (row, times) from ``start`` on."""
    counted = len(count) > 0
    for part in range(first, last):
        begin = part * block
        end = min(begin + block, len(indptr) - 1)
        place = start[part]
        for i in range(inputs + 1):
            place[i] = 0
        for e in range(indptr[begin], indptr[end]):
            place[index[e]] += 1
        total = indptr[begin]
        for i in range(inputs + 1):
            here = place[i]
            place[i] = total
            total += here
        for r in range(begin, end):
            for e in range(indptr[r], indptr[r + 1]):
                i = index[e]
                k = place[i]
                place[i] = k + 1
                row[k] = r
                if counted:
                    times[k] = count[e]
        # Each place has moved on to the start of the next input's list.
        for i in range(inputs, 0, -1):
            place[i] = place[i - 1]
        place[0] = indptr[begin]


@numba.njit(
    f"void(i8, i8, i8[:, ::1], i4[::1], u1[::1], {real}[:, ::1], {real}[:, ::1])", **OPTIONS
)
def weight_gradient(first, last, start, row, times, gradient, rows):
    """``rows[i] = sum of times * gradient[r]`` over the events of inputs ``first`` to ``last``."""
    for i in range(first, last):
        rows[i, :] = 0
    for part in range(start.shape[0]):
        for i in range(first, last):
            add_listed(rows, i, gradient, row, times, start[part, i], start[part, i + 1])


@numba.njit(f"void(i8, i8, {real}[:, ::1], {real}[:, ::1])", **OPTIONS)
def column_sums(first, last, gradient, totals):
    """``totals[p]``: the sum of the rows of part p, row after row."""
    rows, columns = gradient.shape
    for p in range(first, last):
        total = totals[p]
        total[:] = 0
        for r in range(rows * p // len(totals), rows * (p + 1) // len(totals)):
            for n in range(columns):
                total[n] += gradient[r, n]


@numba.njit(
    f"void(i8, i8, i8[::1], i4[::1], {real}[:, ::1], {real}[:, ::1], {real}[:, ::1])", **OPTIONS
)
def input_gradient(first, last, indptr, index, rows, gradient, x):
    """``x[r, i] = rows[i] · gradient[r]`` for the listed (r, i), zero elsewhere."""
    outputs = rows.shape[1]
    for r in range(first, last):
        x[r, :] = 0
        for e in range(indptr[r], indptr[r + 1]):
            i = index[e]
            x[r, i] = dot_run(rows, i * outputs, gradient, r * outputs, outputs)


@numba.njit(f"void(i8, i8, {real}[:, ::1], {real}[:, ::1])", **OPTIONS)
def flip(first, last, matrix, flipped):
    """``flipped = matrix.T`` for blocks of `SIDE` rows of ``flipped``."""
    rows, columns = matrix.shape
    for block in range(first, last):
        begin, end = SIDE * block, min(SIDE * block + SIDE, columns)
        whole = rows // SIDE * SIDE if end - begin == SIDE else 0
        for r in range(0, whole, SIDE):
            transpose_block(matrix, r * columns + begin, columns, flipped, begin * rows + r, rows)
        for n in range(begin, end):
            for k in range(whole, rows):
                flipped[n, k] = matrix[k, n]
