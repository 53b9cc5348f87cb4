"""Products of lists of events with a matrix: one row of it for each event.

``rows[i]`` are the weights from input i to all outputs.
"""

import numba
import numpy as np

from spikewright.engine.cpu.runs import dot_run
from spikewright.engine.cpu.vectorise import OPTIONS

real = "f4"

WIDE = np.dtype(real).type


@numba.njit(
    f"void(i8, i8, i8[::1], i4[::1], u1[::1], {real}[:, ::1], {real}[::1], {real}[:, ::1])",
    **OPTIONS,
)
def product(first, last, indptr, index, count, rows, bias, y):
    """``y[r] = bias + sum of count * rows[i]`` over the events (i, count) of row r, in order."""
    outputs = rows.shape[1]
    counted = len(count) > 0
    for r in range(first, last):
        total = y[r]
        for n in range(outputs):
            total[n] = bias[n]
        e, end = indptr[r], indptr[r + 1]
        if not counted:
            while e + 4 <= end:
                a, b = rows[index[e]], rows[index[e + 1]]
                c, d = rows[index[e + 2]], rows[index[e + 3]]
                for n in range(outputs):
                    total[n] = (((total[n] + a[n]) + b[n]) + c[n]) + d[n]
                e += 4
        while e < end:
            a = rows[index[e]]
            times = WIDE(count[e]) if counted else WIDE(1)
            for n in range(outputs):
                total[n] += times * a[n]
            e += 1


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
    outputs = rows.shape[1]
    counted = len(times) > 0
    for i in range(first, last):
        for n in range(outputs):
            rows[i, n] = 0
    for part in range(start.shape[0]):
        for i in range(first, last):
            total = rows[i]
            e, end = start[part, i], start[part, i + 1]
            if not counted:
                while e + 4 <= end:
                    a, b = gradient[row[e]], gradient[row[e + 1]]
                    c, d = gradient[row[e + 2]], gradient[row[e + 3]]
                    for n in range(outputs):
                        total[n] = (((total[n] + a[n]) + b[n]) + c[n]) + d[n]
                    e += 4
            while e < end:
                a = gradient[row[e]]
                k = WIDE(times[e]) if counted else WIDE(1)
                for n in range(outputs):
                    total[n] += k * a[n]
                e += 1


@numba.njit(f"void(i8, i8, {real}[:, ::1], {real}[::1])", **OPTIONS)
def column_sums(first, last, gradient, total):
    """``total[n] = sum of gradient[:, n]`` for columns ``first`` to ``last``, row after row."""
    part = total[first:last]
    for n in range(last - first):
        part[n] = 0
    for r in range(gradient.shape[0]):
        values = gradient[r, first:last]
        for n in range(last - first):
            part[n] += values[n]


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
    """``flipped = matrix.T`` for blocks of 16 rows of ``flipped``."""
    rows, columns = matrix.shape
    for block in range(first, last):
        for r in range(0, rows, 16):
            for n in range(16 * block, min(16 * block + 16, columns)):
                for k in range(r, min(r + 16, rows)):
                    flipped[n, k] = matrix[k, n]
