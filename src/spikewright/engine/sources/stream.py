"""What the generated step of a stream calls: the products of one sample at one time step.

Values lie side by side as in a tensor; a row of values ends on a multiple of 64 with zeros, so
that it can be searched 64 at a time.
"""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import NoAlias, lowest_bit, nonzero_mask

real = "f4"

OPTIONS = {
    "cache": True,
    "boundscheck": False,
    "error_model": "numpy",
    "pipeline_class": NoAlias,
}
ONE = np.uint64(1)
WIDE = np.dtype(real).type
ROW = f"{real}[::1]"
SIZES = "Tuple((UniTuple(i8, 2), UniTuple(i8, 6), UniTuple(i8, 6)))"


@numba.njit(f"b1({ROW})", **OPTIONS)
def finite(values):
    """Whether no value is NaN or infinite."""
    wrong = False
    for i in range(len(values)):
        wrong |= values[i] - values[i] != 0
    return not wrong


@numba.njit(f"b1({ROW})", **OPTIONS)
def spikes(values):
    """Whether all values are numbers of spikes."""
    wrong = False
    for i in range(len(values)):
        wrong |= (values[i] < 0) | (np.floor(values[i]) != values[i])
    return not wrong


@numba.njit(f"i8({ROW}, i8[::1])", **OPTIONS)
def list_active(values, index):
    """Write the places of the values that are not zero, ascending; return how many there are."""
    count = 0
    for first in range(0, len(values), 64):
        mask = nonzero_mask(values, first)
        while mask != 0:
            index[count] = first + lowest_bit(mask)
            mask &= mask - ONE
            count += 1
    return count


@numba.njit(f"void({ROW}, {ROW}, {ROW}, i8[::1], i8, {ROW})", **OPTIONS)
def product(values, rows, bias, index, count, total):
    """``total = bias + sum of value * row`` over the ``count`` values at ``index``, in order."""
    outputs = len(total)
    for n in range(outputs):
        total[n] = bias[n]
    e = 0
    while e + 4 <= count:
        h, i, j, k = index[e], index[e + 1], index[e + 2], index[e + 3]
        p, q, r, s = values[h], values[i], values[j], values[k]
        a, b = rows[h * outputs : (h + 1) * outputs], rows[i * outputs : (i + 1) * outputs]
        c, d = rows[j * outputs : (j + 1) * outputs], rows[k * outputs : (k + 1) * outputs]
        for n in range(outputs):
            total[n] = (((total[n] + p * a[n]) + q * b[n]) + r * c[n]) + s * d[n]
        e += 4
    while e < count:
        i = index[e]
        p, a = values[i], rows[i * outputs : (i + 1) * outputs]
        for n in range(outputs):
            total[n] += p * a[n]
        e += 1


@numba.njit(f"void({ROW}, i8, {ROW})", **OPTIONS)
def judge(excess, winners, verdict):
    """1 for the ``winners`` with the largest excess, ties to the first; -1 for others, else 0.

    An excess of -inf takes no part; if all are, nobody has won or lost.
    """
    some = False
    for i in range(len(excess)):
        some |= excess[i] > -np.inf
        verdict[i] = 0
    if not some:
        return
    for i in range(len(excess)):
        verdict[i] = -1
    for _ in range(winners):
        best, found = -np.inf, -1
        for i in range(len(excess)):
            if excess[i] > best and verdict[i] < 0:
                best, found = excess[i], i
        if found < 0:
            return
        verdict[found] = 1


@numba.njit(f"void({ROW}, {ROW}, {ROW})", **OPTIONS)
def remember(values, history, window):
    """``window``: the history, oldest step first, and the values, which then join the history."""
    window[: len(history)] = history
    window[len(history) :] = values
    history[:] = window[len(values) :]


@numba.njit(f"void({ROW}, {ROW}, {ROW}, {ROW})", **OPTIONS)
def interpolate(window, steps, fraction, y):
    """``y = (1 - f) x[t - k] + f x[t - k - 1]`` from the window of past steps."""
    last = len(window) - len(y)
    for i in range(len(y)):
        place = last - np.int64(steps[i]) * len(y) + i
        now, before = window[place], window[place - len(y)]
        y[i] = (WIDE(1) - fraction[i]) * now + fraction[i] * before


@numba.njit("i8(i8, i8, UniTuple(i8, 6))", **OPTIONS)
def reached(place, tap, axis):
    """The output that an input reaches through a tap, or -1; ``axis`` as in `convolve`."""
    _, _, stride, dilation, before, outputs = axis
    output, off = divmod(place + before - tap * dilation, stride)
    return output if off == 0 and 0 <= output < outputs else -1


@numba.njit(f"void({ROW}, {ROW}, {ROW}, i8[::1], i8, {ROW}, {ROW}, {SIZES})", **OPTIONS)
def convolve(values, kernels, bias, index, count, grid, y, sizes):
    """Add the kernel of each of the ``count`` values at ``index`` to the outputs that it reaches.

    ``kernels[c, tap row, tap column, output of the group]``, ``grid[row, column, output]``,
    ``sizes``: (in channels of a group, outputs of a group), then for rows and for columns
    (size, taps, stride, dilation, zeros before, outputs).
    """
    (channels, width), rows, columns = sizes
    plane, line, outputs = rows[0] * columns[0], columns[0], len(bias)
    for n in range(len(grid)):
        grid[n] = bias[n % outputs]
    for e in range(count):
        place = index[e]
        c, value = place // plane, values[place]
        first = c // channels * width
        for ty in range(rows[1]):
            oy = reached(place % plane // line, ty, rows)
            for tx in range(columns[1]):
                ox = reached(place % line, tx, columns)
                if oy >= 0 and ox >= 0:
                    k = ((c * rows[1] + ty) * columns[1] + tx) * width
                    g = (oy * columns[5] + ox) * outputs + first
                    for n in range(width):
                        grid[g + n] += value * kernels[k + n]
    places = rows[5] * columns[5]
    for n in range(outputs):
        for p in range(places):
            y[n * places + p] = grid[p * outputs + n]


@numba.njit(f"void({ROW}, {ROW}, {SIZES})", **OPTIONS)
def largest(values, y, sizes):
    """The largest value of each window of each channel; ``sizes`` as those of `convolve`."""
    _, (h, th, sh, _, ph, oh), (w, tw, sw, _, pw, ow) = sizes
    for o in range(len(y)):
        c, oy, ox = o // (oh * ow), o // ow % oh, o % ow
        found = -np.inf
        for iy in range(max(0, oy * sh - ph), min(h, oy * sh - ph + th)):
            for ix in range(max(0, ox * sw - pw), min(w, ox * sw - pw + tw)):
                found = max(found, values[(c * h + iy) * w + ix])
        y[o] = found
