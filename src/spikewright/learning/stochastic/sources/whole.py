"""All steps of a layer at once: potentials from counts of bits.

z = W c / T + b with c the inputs' counts; a word of spikes for each clip(z, 0, 1)
d = W'(c+ - c-) / T; a word of errors of d's sign for each |d| / G where 0 < z < 1
"""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import OPTIONS, count_bits
from spikewright.learning.stochastic.sources.draws import INLINE, PASTED, STEPS, bits, valid_places
from spikewright.learning.stochastic.sources.shared import (
    CLIPPED,
    FIRED,
    KERNEL,
    LOWERED,
    OPEN,
    RAISED,
    REACHED,
    begin,
    clear,
    compare,
    hand_out,
    learn,
    read_input,
    stream,
    tally,
)
from spikewright.learning.stochastic.sources.words import add_scaled


@numba.njit(**INLINE)
def count_over(words, row, neuron):
    """The ones of a stream."""
    total = 0
    for chunk in range(len(words)):
        total += count_bits(np.uint64(words[chunk, row, neuron]))
    return total


@numba.njit(**PASTED)
def potentials(shape, weights, steps, layer, words, scratch):
    """The mean input of a layer over all steps."""
    sizes, at, weight_at = shape
    size, start, below = sizes[layer], at[layer], at[layer - 1]
    z = scratch[1][0, start : start + size]
    bias = weights[2][start : start + size]
    for j in range(size):
        z[j] = bias[j]
    for i in range(sizes[layer - 1]):
        count = count_over(words, FIRED, below + i)
        if count:
            row = weights[0][weight_at[layer] + i * size : weight_at[layer] + (i + 1) * size]
            add_scaled(row, weights[3][layer] * np.float32(count) / np.float32(steps), z)


@numba.njit(**PASTED)
def errors(shape, weights, plan, layer, words, scratch):
    """The mean error of a hidden layer over all steps; whether there is any."""
    sizes, at, weight_at = shape
    above, size, start = layer + 1, sizes[layer], at[layer]
    d, found = scratch[1][1, start : start + size], False
    factor = plan[3][above] * weights[3][above] / np.float32(plan[0])
    for k in range(sizes[above]):
        here = at[above] + k
        count = count_over(words, RAISED, here) - count_over(words, LOWERED, here)
        if count:
            row = weights[1][weight_at[above] + k * size : weight_at[above] + (k + 1) * size]
            add_scaled(row, np.float32(count) * factor, d)
            found = True
    return found


@numba.njit(**PASTED)
def fire_all(shape, plan, data, layer, sample, words, scratch, totals):
    """The words of a hidden layer's spikes."""
    own = stream(data, layer, 0, sample)
    for j in range(shape[0][layer]):
        here = shape[1][layer] + j
        if scratch[2][here]:
            totals[4][OPEN, layer] += plan[0] if 0 < scratch[1][0, here] < 1 else 0
            for chunk in range(len(words)):
                valid = valid_places(0, plan[0] - chunk * STEPS)
                words[chunk, FIRED, here] = bits(scratch[1][0, here], own, j, chunk, valid)


@numba.njit(**PASTED)
def emit_all(shape, plan, data, layer, sample, words, scratch, totals):
    """The words of a hidden layer's errors."""
    own, scale = stream(data, layer, 1, sample), plan[3][layer]
    for j in range(shape[0][layer]):
        here = shape[1][layer] + j
        if not (0 < scratch[1][0, here] < 1 and scratch[2][here]):
            continue
        d = scratch[1][1, here]
        totals[4][REACHED, layer] += plan[0]
        totals[4][CLIPPED, layer] += plan[0] if abs(d) > scale else 0
        row = RAISED if d > 0 else LOWERED
        for chunk in range(len(words)):
            valid = valid_places(0, plan[0] - chunk * STEPS)
            words[chunk, row, here] = bits(abs(d) / scale, own, j, chunk, valid)


@numba.njit(**PASTED)
def run_forward(shape, weights, plan, data, sample, words, scratch, totals, wins):
    """All layers' spikes, and the last one's errors."""
    final = len(shape[0]) - 1
    for chunk in range(len(words)):
        clear(words[chunk])
        read_input(plan, data, scratch, sample, chunk, words[chunk, FIRED])
    for layer in range(1, final):
        potentials(shape, weights, plan[0], layer, words, scratch)
        fire_all(shape, plan, data, layer, sample, words, scratch, totals)
    potentials(shape, weights, plan[0], final, words, scratch)
    for step in range(plan[0]):
        compare(shape, plan, data, sample, step, words[step // STEPS], scratch, wins)


@numba.njit(KERNEL, **OPTIONS)
def run(shape, weights, plan, data, totals, results, scratch, first, last):
    """Samples ``first`` to ``last``; the words in ``scratch`` hold all steps."""
    words = scratch[0]
    for sample in range(first, last):
        begin(shape, weights, plan, data, scratch, sample)
        run_forward(shape, weights, plan, data, sample, words, scratch, totals, results[0][sample])
        if plan[6]:
            for layer in range(len(shape[0]) - 2, 0, -1):
                if errors(shape, weights, plan, layer, words, scratch):
                    emit_all(shape, plan, data, layer, sample, words, scratch, totals)
        for chunk in range(len(words)):
            if plan[6]:
                learn(shape, plan, chunk, words[chunk], totals, scratch)
            tally(shape, words[chunk], totals)
        hand_out(shape, words, results[1][sample], results[2][sample], scratch)
