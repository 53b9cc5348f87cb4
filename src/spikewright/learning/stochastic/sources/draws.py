"""Random bits: each number belongs to (stream, step, neuron), as in `spikewright.seeding`."""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import NoAlias
from spikewright.seeding import philox

INLINE = {"nogil": True, "boundscheck": False, "error_model": "numpy", "pipeline_class": NoAlias}
PASTED = {**INLINE, "inline": "always"}
"""For parts of a long function, which are thus compiled once and not by themselves too."""
STEPS = 32
"""Steps in a word."""
LOW = np.uint64(0xFFFFFFFF)
NONE = np.uint64(0)
PLACES = 24
"""Binary places of a probability."""


@numba.njit(**INLINE)
def block(first, second, stream):
    """Four random words of 32 bits, in uint64."""
    counter = (np.uint64(first), np.uint64(second))
    return philox(counter[0], counter[1], stream & LOW, stream >> np.uint64(32), NONE, NONE)


@numba.njit(**INLINE)
def number(word):
    """A number in (0, 1), that of `seeding.uniform`."""
    return np.float32((np.float64(word >> np.uint64(9)) + 0.5) * 2.0**-23)


@numba.njit(**INLINE)
def fill(out, stream, step):
    """One number for each neuron; the length of ``out`` is a multiple of four."""
    for b in range(len(out) // 4):
        w0, w1, w2, w3 = block(b, step, stream)
        out[4 * b] = number(w0)
        out[4 * b + 1] = number(w1)
        out[4 * b + 2] = number(w2)
        out[4 * b + 3] = number(w3)


@numba.njit(**INLINE)
def bits(probability, stream, neuron, chunk, valid):
    """A word of independent bits, each one with a probability, at the ``valid`` places.

    The binary places of all steps' random numbers are drawn together, the highest first, until
    each number is told from the probability: 2 + log2(steps) words or so.
    """
    level = np.int64(np.float64(probability) * 2.0**PLACES + 0.5)
    if level <= 0:
        return NONE
    if level >= 1 << PLACES:
        return valid
    result, open_places, place = NONE, valid, PLACES
    for slab in range(PLACES // 4):
        for word in block(neuron, 8 * chunk + slab, stream):
            place -= 1
            if (level >> place) & 1:
                result |= open_places & ~word
                open_places &= word
            else:
                open_places &= ~word
        if open_places == NONE:
            break
    return result


@numba.njit(**INLINE)
def valid_places(first, last):
    """The word with ones from step ``first`` to before ``last``, both within a word's steps."""
    first, last = max(first, 0), min(last, STEPS)
    if last <= first:
        return NONE
    ones = (np.uint64(1) << np.uint64(last - first)) - np.uint64(1)
    return ones << np.uint64(first)


@numba.njit(**INLINE)
def draw_winner(potential, numbers, race):
    """The neuron that fires first, or the greatest score with Gumbel noise; the lowest of equals.

    With E = -log(u) both are one: the least E exp(-o) is the greatest o - log(E).
    """
    top = potential[0]
    for k in range(len(potential)):
        top = max(top, potential[k])
    best, winner = np.inf, 0
    for k in range(len(potential)):
        wait = -np.log(np.float64(numbers[k]))
        if race:
            late = wait / np.exp(np.float64(potential[k] - top))
        else:
            late = np.log(wait) - potential[k]
        if late < best:
            best, winner = late, k
    return winner


@numba.njit(**INLINE)
def draw_label(target, classes, smoothing, stream, step):
    """The class that the label's stream shows: any class with probability ``smoothing``."""
    if smoothing == 0:
        return target
    w0, w1, _, _ = block(0, step, stream)
    if number(w0) >= smoothing:
        return target
    return np.int64((w1 * np.uint64(classes)) >> np.uint64(32))
