"""Arrivals under way, the earliest first: a binary heap in arrays."""

import numba

from spikewright.events.exact.sources.cell import PLAIN


@numba.njit(**PLAIN)
def push(time, row, source, size, times, rows, sources):
    """Add an arrival to a queue of ``size``; those of one time leave by spike and then by row."""
    place = size
    while place > 0:
        parent = (place - 1) // 2
        if not _before(time, row, source, times[parent], rows[parent], sources[parent]):
            break
        times[place], rows[place], sources[place] = times[parent], rows[parent], sources[parent]
        place = parent
    times[place], rows[place], sources[place] = time, row, source


@numba.njit(**PLAIN)
def pop(size, times, rows, sources):
    """Take the first of ``size`` out."""
    last = size - 1
    time, row, source = times[last], rows[last], sources[last]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= last:
            break
        right = child + 1
        if right < last and _before(
            times[right], rows[right], sources[right], times[child], rows[child], sources[child]
        ):
            child = right
        if not _before(times[child], rows[child], sources[child], time, row, source):
            break
        times[place], rows[place], sources[place] = times[child], rows[child], sources[child]
        place = child
    times[place], rows[place], sources[place] = time, row, source


@numba.njit(**PLAIN)
def _before(time, row, source, other_time, other_row, other_source):
    if time != other_time:
        return time < other_time
    if source != other_source:
        return source < other_source
    return row < other_row
