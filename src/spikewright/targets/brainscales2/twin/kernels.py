"""Loops of the twin that no tensor operation does well: noise, and events on their way in."""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import OPTIONS

WORD = np.uint64(0xFFFFFFFF)
BYTES = np.uint32(0x00FF00FF)


@numba.njit(**OPTIONS)
def mix(a, b):
    """A 64-bit word from two (the finaliser of SplitMix64)."""
    z = (a ^ (b * np.uint64(0x9E3779B97F4A7C15))) + np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@numba.njit(**OPTIONS)
def scramble(h):
    """A bijection of 32-bit words without visible order (the finaliser of MurmurHash3)."""
    h = np.uint32(h ^ (h >> np.uint32(16)))
    h = np.uint32(h * np.uint32(0x85EBCA6B))
    h = np.uint32(h ^ (h >> np.uint32(13)))
    h = np.uint32(h * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))


@numba.njit(**OPTIONS)
def sum_of_bytes(h):
    """The four bytes of a word added up."""
    pairs = np.uint32((h & BYTES) + ((h >> np.uint32(8)) & BYTES))
    return np.int32((pairs & np.uint32(0xFFFF)) + (pairs >> np.uint32(16)))


@numba.njit(**OPTIONS)
def fill_noise(first, last, key, offset, circuits, scale, out):
    """Nearly normal numbers for the samples from ``first`` to ``last`` of (steps, samples, n).

    Each is the sum of the eight bytes of two words, centred and divided by its standard deviation,
    times ``scale``; the words are a function of key, step, sample and circuit alone. The first
    sample has the number ``offset``.
    """
    unit = np.float32(scale / np.sqrt(8.0 * (65536.0 - 1.0) / 12.0))
    for t in range(out.shape[0]):
        for b in range(first, last):
            start = mix(mix(key, np.uint64(offset + b)), np.uint64(t))
            low, high = np.uint32(start & WORD), np.uint32(start >> np.uint64(32))
            row = out[t, b]
            for n in range(len(circuits)):
                c = circuits[n]
                one = scramble(np.uint32(low + c))
                two = scramble(np.uint32(high ^ c))
                total = sum_of_bytes(one) + sum_of_bytes(two) - np.int32(1020)
                row[n] = unit * np.float32(total)


@numba.njit(**OPTIONS)
def deliver(step, sample, late, source, drive, out):
    """Add row ``source[e]`` of ``drive`` to ``out[step[e], sample[e]]`` for each event e.

    ``late[e]`` of it goes to the step after.
    """
    steps = out.shape[0]
    for e in range(len(step)):
        row, t = drive[source[e]], step[e]
        if t < steps:
            now = out[t, sample[e]]
            for n in range(len(row)):
                now[n] += (np.float32(1) - late[e]) * row[n]
        if late[e] > 0 and t + 1 < steps:
            after = out[t + 1, sample[e]]
            for n in range(len(row)):
                after[n] += late[e] * row[n]
