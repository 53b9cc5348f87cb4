"""Convolution of lists of events: each adds its kernel to the outputs it reaches.

A row is worked out on a grid in the cache whose innermost axis are the output channels of one
group, ``width`` in number, so that the taps of a line of the kernel that reach neighbouring
outputs are one run of neighbours. ``kernels`` holds for each input channel lines of taps of
``width`` weights; its taps are in the order of `Axis.order`.

The events of a channel are listed by line, and each piece of its kernel meets all of a list in
turn. The grid is wide: it has margins, so that no piece is cut off at its sides. ``place[p]``:
(list of an event at input place p, start of its base on the wide grid); ``pieces``: (first list,
last list, start in the kernel, start on the wide grid past the base, length); ``sizes``: (lines,
outputs in a line, places in a line of the wide grid, those in front of its outputs, input channels
of a group, ``width``, lists).
"""

import numba
import numpy as np

from spikewright.engine.cpu.runs import (
    add_runs,
    block_side,
    copy_run,
    dot_run,
    spread_run,
    transpose_block,
    transpose_block_plus,
)
from spikewright.engine.cpu.vectorise import OPTIONS

real = "f4"

WIDE = np.dtype(real).type
SIDE = block_side(np.dtype(real).itemsize)
EVENTS = "i8[::1], i4[::1], u1[::1]"
TABLES = "i8[:, ::1], i8[:, ::1], i8[::1]"


@numba.njit(f"void({real}[::1], i8, i8, {real}[:, ::1], i8, {real}[::1], i8)", **OPTIONS)
def to_channels(grid, places, width, y, r, bias, first):
    """Write a group's grid, and the bias, to row r from channel ``first`` on."""
    row = y[r]
    for n in range(0, width, SIDE):
        for p in range(0, places, SIDE):
            if n + SIDE <= width and p + SIDE <= places:
                start = (first + n) * places + p
                transpose_block_plus(
                    grid, p * width + n, width, row, start, places, bias, first + n
                )
            else:
                for k in range(n, min(n + SIDE, width)):
                    for q in range(p, min(p + SIDE, places)):
                        value = grid[q * width + k] + bias[first + k]
                        row[(first + k) * places + q] = value


@numba.njit(f"void({real}[:, ::1], i8, i8, {real}[::1], i8, i8)", **OPTIONS)
def from_channels(y, r, first, grid, places, width):
    """Read a group's grid from row r from channel ``first`` on."""
    row = y[r]
    for n in range(0, width, SIDE):
        for p in range(0, places, SIDE):
            if n + SIDE <= width and p + SIDE <= places:
                transpose_block(row, (first + n) * places + p, places, grid, p * width + n, width)
            else:
                for k in range(n, min(n + SIDE, width)):
                    for q in range(p, min(p + SIDE, places)):
                        grid[q * width + k] = row[(first + k) * places + q]


@numba.njit(
    f"i8({EVENTS}, i8, i8, i8, i8[:, ::1], i8[::1], i8[::1], {real}[::1])",
    **OPTIONS,
)
def list_by_line(indptr, index, count, e, end, base, place, lists, start, times):
    """List the events of a channel from number e on; return the number after its last.

    List n is ``lists[n]`` to ``lists[n + 1]`` of ``start`` and ``times``.
    """
    begin, plane = e, len(place)
    for n in range(len(lists)):
        lists[n] = 0
    while e < end and index[e] < base + plane:
        lists[place[index[e] - base, 0] + 2] += 1
        e += 1
    for n in range(2, len(lists)):
        lists[n] += lists[n - 1]
    for k in range(begin, e):
        p = index[k] - base
        n = place[p, 0] + 1
        start[lists[n]] = place[p, 1]
        if len(count) > 0:
            times[lists[n]] = WIDE(count[k])
        lists[n] += 1
    return e


@numba.njit(f"void({real}[:, ::1], i8, i8, {real}[::1], {real}[::1], i8[::1])", **OPTIONS)
def read_wide(y, r, first, dense, grid, sizes):
    """Read a group's grid, dense and wide, from row r from channel ``first`` on."""
    high, wide, length, margin, width = sizes[0], sizes[1], sizes[2], sizes[3], sizes[5]
    from_channels(y, r, first, dense, high * wide, width)
    for line in range(high):
        place = (line * length + margin) * width
        copy_run(grid, place, wide * width, dense, line * wide * width)


@numba.njit(
    f"void(i8, i8, {EVENTS}, {TABLES}, {real}[::1], {real}[::1], {real}[::1], {real}[::1], "
    f"{real}[:, ::1])",
    **OPTIONS,
)
def product(first, last, indptr, index, count, place, pieces, sizes, dense, grid, kernels, bias, y):
    """``y[r]``: bias plus the kernels of the events of row r."""
    high, wide, length, margin = sizes[0], sizes[1], sizes[2], sizes[3]
    in_group, width, plane = sizes[4], sizes[5], len(place)
    groups = len(bias) // width
    stride = len(kernels) // (groups * in_group)
    lists = np.empty(sizes[6] + 2, np.int64)
    start, times = np.empty(plane, np.int64), np.ones(plane, grid.dtype)
    for r in range(first, last):
        e, end = indptr[r], indptr[r + 1]
        for g in range(groups):
            grid[:] = 0
            for c in range(g * in_group, (g + 1) * in_group):
                if e == end or index[e] >= (c + 1) * plane:
                    continue
                e = list_by_line(
                    indptr, index, count, e, end, c * plane, place, lists, start, times
                )
                for n in range(len(pieces)):
                    a, b = lists[pieces[n, 0]], lists[pieces[n, 1]]
                    kernel = c * stride + pieces[n, 2]
                    spread_run(
                        grid, pieces[n, 3], pieces[n, 4], kernels, kernel, start, times, a, b
                    )
            for line in range(high):
                from_wide = (line * length + margin) * width
                copy_run(dense, line * wide * width, wide * width, grid, from_wide)
            to_channels(dense, high * wide, width, y, r, bias, g * width)


@numba.njit(
    f"void(i8, i8, {EVENTS}, {TABLES}, {real}[::1], {real}[::1], {real}[:, ::1], "
    f"{real}[:, ::1], {real}[:, ::1])",
    **OPTIONS,
)
def weight_gradient(
    first, last, indptr, index, count, place, pieces, sizes, dense, grid, y, kernels, bias
):
    """Add up the gradients of all kernels and of the bias over parts of the rows.

    ``kernels[part]`` and ``bias[part]`` take those of part number part of the rows.
    """
    parts, rows = len(kernels), len(indptr) - 1
    in_group, width, plane, places = sizes[4], sizes[5], len(place), sizes[0] * sizes[1]
    groups = bias.shape[1] // width
    stride = kernels.shape[1] // (groups * in_group)
    lists = np.empty(sizes[6] + 2, np.int64)
    start, times = np.empty(plane, np.int64), np.ones(plane, grid.dtype)
    cells = np.arange(places)
    grid[:] = 0
    for part in range(first, last):
        total, shift = kernels[part], bias[part]
        total[:] = 0
        shift[:] = 0
        for r in range(rows * part // parts, rows * (part + 1) // parts):
            e, end = indptr[r], indptr[r + 1]
            for g in range(groups):
                read_wide(y, r, g * width, dense, grid, sizes)
                add_runs(shift, g * width, width, dense, 0, cells, width, None, 0, places)
                for c in range(g * in_group, (g + 1) * in_group):
                    if e == end or index[e] >= (c + 1) * plane:
                        continue
                    e = list_by_line(
                        indptr, index, count, e, end, c * plane, place, lists, start, times
                    )
                    for n in range(len(pieces)):
                        a, b = lists[pieces[n, 0]], lists[pieces[n, 1]]
                        kernel = c * stride + pieces[n, 2]
                        add_runs(
                            total, kernel, pieces[n, 4], grid, pieces[n, 3], start, 1, times, a, b
                        )


@numba.njit(
    f"void(i8, i8, i8[::1], i4[::1], {TABLES}, {real}[::1], {real}[::1], {real}[:, ::1], "
    f"{real}[::1], {real}[:, ::1])",
    **OPTIONS,
)
def input_gradient(first, last, indptr, index, place, pieces, sizes, dense, grid, y, kernels, x):
    """Gradients of the listed inputs of row r to ``x[r]``, zero elsewhere."""
    in_group, width, plane = sizes[4], sizes[5], len(place)
    channels = x.shape[1] // plane
    stride = len(kernels) // channels
    grid[:] = 0
    for r in range(first, last):
        x[r, :] = 0
        e, end = indptr[r], indptr[r + 1]
        for g in range(channels // in_group):
            read_wide(y, r, g * width, dense, grid, sizes)
            stop = (g + 1) * in_group * plane
            while e < end and index[e] < stop:
                c = index[e] // plane
                p = index[e] - c * plane
                value = WIDE(0)
                for n in range(len(pieces)):
                    if pieces[n, 0] <= place[p, 0] and place[p, 0] < pieces[n, 1]:
                        kernel, base = c * stride + pieces[n, 2], place[p, 1] + pieces[n, 3]
                        value += dot_run(kernels, kernel, grid, base, pieces[n, 4])
                x[r, index[e]] = value
                e += 1
