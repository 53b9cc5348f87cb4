"""Streams packed into words, and what is counted in them."""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import count_bits
from spikewright.learning.stochastic.sources.draws import INLINE, NONE

ALL = np.uint64(0xFFFFFFFF)
"""A word of ones."""


@numba.njit(**INLINE)
def count_words(words):
    """The bits set in all words."""
    total = 0
    for i in range(len(words)):
        total += count_bits(np.uint64(words[i]))
    return total


@numba.njit(**INLINE)
def list_words(words, valid, place, held):
    """Note the words that have any valid bit: their places and these bits; how many."""
    used = 0
    for j in range(len(words)):
        word = np.uint64(words[j]) & valid
        if word != NONE:
            place[used], held[used] = j, word
            used += 1
    return used


@numba.njit(**INLINE)
def coincide(before, errors, valid, total, total_bias, scratch):
    """Count the steps at which an input and an error of a neuron meet.

    ``total`` is (inputs * neurons,), ``total_bias`` (neurons,): there the input always fires.
    """
    place, held = scratch
    used = list_words(errors, valid, place, held)
    if used == 0:
        return
    size = len(errors)
    for a in range(used):
        total_bias[place[a]] += count_bits(held[a])
    for i in range(len(before)):
        word = np.uint64(before[i])
        if word != NONE:
            row = total[i * size : (i + 1) * size]
            for a in range(used):
                row[place[a]] += count_bits(word & held[a])


@numba.njit(**INLINE)
def list_active(words, place, bit, active):
    """Of the listed neurons those that fire in a step; how many."""
    used = 0
    for a in range(len(place)):
        if (np.uint64(words[place[a]]) >> bit) & np.uint64(1):
            active[used] = place[a]
            used += 1
    return used


@numba.njit(**INLINE)
def add_rows(weight, rows, size, total):
    """``total`` becomes the sum of some rows of ``weight``, (inputs * size,)."""
    for j in range(size):
        total[j] = 0
    # Four rows at a time: the sum is read and written a quarter as often.
    fours = len(rows) // 4 * 4
    for a in range(0, fours, 4):
        r0, r1, r2, r3 = rows[a] * size, rows[a + 1] * size, rows[a + 2] * size, rows[a + 3] * size
        w0, w1 = weight[r0 : r0 + size], weight[r1 : r1 + size]
        w2, w3 = weight[r2 : r2 + size], weight[r3 : r3 + size]
        for j in range(size):
            total[j] += (w0[j] + w1[j]) + (w2[j] + w3[j])
    for a in range(fours, len(rows)):
        row = weight[rows[a] * size : (rows[a] + 1) * size]
        for j in range(size):
            total[j] += row[j]


@numba.njit(**INLINE)
def add_scaled(row, factor, total):
    """``total += factor * row``."""
    for j in range(len(total)):
        total[j] += factor * row[j]
