"""What both forms share: what kernels are given, the room they work in, the input's streams.

shape: sizes, where neurons begin, where the weights into a layer begin; layer 0 is the input.
weights: (inputs, neurons) and (neurons, inputs) of each layer in a row, biases, the gain of each
    layer's inputs, and the share of each layer's neurons that dropout keeps.
plan: steps, warm-up, least gain of the means and gradient scale of each layer, smoothing, race,
    learn.
data: x (steps or 1, batch, inputs), the samples' identities, where the streams of a layer begin
    (forward, gradient, mask), targets.
totals: coincidences that raise and lower weights and biases, and what `Streams` says.
results: wins (batch, classes), last potentials, and words (batch, words, 3, neurons) if kept.
scratch: words of all neurons, means of potentials and errors, which neurons dropout keeps, numbers
    and two lists as long as the largest layer, in fours.
"""

import numba
import numpy as np

from spikewright.learning.stochastic.sources.draws import (
    INLINE,
    NONE,
    PASTED,
    STEPS,
    bits,
    block,
    draw_label,
    draw_winner,
    fill,
    number,
    valid_places,
)
from spikewright.learning.stochastic.sources.words import coincide, count_words

SHAPE = "Tuple((i8[::1], i8[::1], i8[::1]))"
WEIGHTS = "Tuple((f4[::1], f4[::1], f4[::1], f4[::1], f4[::1]))"
PLAN = "Tuple((i8, i8, f4[::1], f4[::1], f4, b1, b1))"
DATA = "Tuple((f4[:, :, ::1], u8[::1], u8[:, ::1], i8[::1]))"
TOTALS = "Tuple((i4[::1], i4[::1], i4[::1], i4[::1], i8[:, ::1]))"
RESULTS = "Tuple((i4[:, ::1], f4[:, ::1], u4[:, :, :, ::1]))"
SCRATCH = "Tuple((u4[:, :, ::1], f4[:, ::1], b1[::1], f4[:, ::1], i8[:, ::1], u8[::1]))"
KERNEL = f"void({SHAPE}, {WEIGHTS}, {PLAN}, {DATA}, {TOTALS}, {RESULTS}, {SCRATCH}, i8, i8)"
FIRED, RAISED, LOWERED = 0, 1, 2
"""Rows of a layer's words: its spikes, and its errors of either sign."""
SPIKES, ERRORS, CLIPPED, REACHED, OPEN = 0, 1, 2, 3, 4
"""Rows of what is counted by layer; REACHED are open gates in samples that have errors."""


@numba.njit(**INLINE)
def stream(data, layer, purpose, sample):
    """The random stream of a layer in a sample."""
    return data[2][layer, purpose] + data[1][sample]


@numba.njit(**PASTED)
def begin(shape, weights, plan, data, scratch, sample):
    """Means at zero and, while learning, the neurons that dropout silences in this sample."""
    sizes, at, _ = shape
    _, means, kept, numbers, _, _ = scratch
    for j in range(len(kept)):
        means[0, j], means[1, j], kept[j] = 0, 0, True
    for layer in range(len(sizes)):
        here = kept[at[layer] : at[layer + 1]]
        if plan[6] and weights[4][layer] < 1:
            fill(numbers[0], stream(data, layer, 2, sample), 0)
            for j in range(len(here)):
                here[j] = numbers[0, j] < weights[4][layer]


@numba.njit(**PASTED)
def read_input(plan, data, scratch, sample, chunk, words):
    """Draw the input's words of a chunk."""
    x, own, kept = data[0], stream(data, 0, 0, sample), scratch[2]
    first = chunk * STEPS
    last = min(first + STEPS, plan[0])
    valid = valid_places(0, last - first)
    for i in range(x.shape[2]):
        word = NONE
        if kept[i] and len(x) == 1:
            word = bits(x[0, sample, i], own, i, chunk, valid)
        elif kept[i]:
            for t in range(first, last):
                p = x[t, sample, i]
                if p >= 1 or (p > 0 and number(block(i // 4, t, own)[i % 4]) < p):
                    word |= np.uint64(1) << np.uint64(t - first)
        words[i] = word


@numba.njit(**PASTED)
def learn(shape, plan, chunk, words, totals, scratch):
    """Count the coincidences of a chunk at all synapses."""
    sizes, at, weight_at = shape
    up, up_bias, down, down_bias, _ = totals
    lists = scratch[4][0], scratch[5]
    valid = valid_places(plan[1] - chunk * STEPS, STEPS)
    for layer in range(1, len(sizes)):
        start, end = at[layer], at[layer + 1]
        before = words[FIRED, at[layer - 1] : start]
        block_of = slice(weight_at[layer], weight_at[layer] + sizes[layer - 1] * sizes[layer])
        for row, total, bias in ((LOWERED, up, up_bias), (RAISED, down, down_bias)):
            coincide(before, words[row, start:end], valid, total[block_of], bias[start:end], lists)


@numba.njit(**PASTED)
def tally(shape, words, totals):
    """Count spikes and errors of a chunk by layer."""
    sizes, at, _ = shape
    for layer in range(len(sizes)):
        start, end = at[layer], at[layer + 1]
        totals[4][SPIKES, layer] += count_words(words[FIRED, start:end])
        errors = count_words(words[RAISED, start:end]) + count_words(words[LOWERED, start:end])
        totals[4][ERRORS, layer] += errors


@numba.njit(**INLINE)
def set_bit(words, row, neuron, bit):
    """Let a stream have a one at a step of a word."""
    words[row, neuron] |= np.uint32(1) << np.uint32(bit)


@numba.njit(**INLINE)
def clear(words):
    """Set all bits to zero."""
    for row in range(words.shape[0]):
        for j in range(words.shape[1]):
            words[row, j] = 0


@numba.njit(**PASTED)
def hand_out(shape, words, potential, kept, scratch):
    """Copy the last layer's potentials, and words where they are wanted."""
    start = shape[1][len(shape[0]) - 1]
    for k in range(len(potential)):
        potential[k] = scratch[1][0, start + k]
    for chunk in range(len(kept)):
        for row in range(words.shape[1]):
            for j in range(words.shape[2]):
                kept[chunk, row, j] = words[chunk, row, j]


@numba.njit(**PASTED)
def compare(shape, plan, data, sample, step, words, scratch, wins):
    """The winner of a step, and its errors: wrong winners and labels that did not win."""
    layer = len(shape[0]) - 1
    size, start = shape[0][layer], shape[1][layer]
    numbers, z = scratch[3][0], scratch[1][0, start : start + size]
    fill(numbers[: (size + 3) // 4 * 4], stream(data, layer, 0, sample), step)
    winner = draw_winner(z, numbers, plan[5])
    set_bit(words, FIRED, start + winner, step % STEPS)
    wins[winner] += 1
    own = stream(data, layer, 1, sample)
    label = draw_label(data[3][sample], size, plan[4], own, step)
    if winner != label:
        set_bit(words, RAISED, start + winner, step % STEPS)
        set_bit(words, LOWERED, start + label, step % STEPS)
