"""Step by step: means over the steps so far, all streams in one phase.

z <- z + (W s + b - z) g,  g = max(1 / n, least);  a spike with probability clip(z, 0, 1)
d <- d + (W'(e+ - e-) - d) g;  an error of d's sign with probability |d| / G where 0 < z < 1
"""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import OPTIONS
from spikewright.learning.stochastic.sources.draws import (
    INLINE,
    PASTED,
    STEPS,
    fill,
)
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
    set_bit,
    stream,
    tally,
)
from spikewright.learning.stochastic.sources.words import (
    ALL,
    add_rows,
    add_scaled,
    list_active,
    list_words,
)


@numba.njit(**INLINE)
def mean_gain(plan, layer, step):
    """The weight of a new input in a layer's means."""
    return max(np.float32(1) / np.float32(step + 1), plan[2][layer])


@numba.njit(**PASTED)
def receive(shape, weights, plan, layer, rows, step, scratch):
    """Let the potentials of a layer follow the rows that arrive in this step."""
    size, start = shape[0][layer], shape[1][layer]
    total, z = scratch[3][1][:size], scratch[1][0, start : start + size]
    add_rows(weights[0][shape[2][layer] :], rows, size, total)
    gain = mean_gain(plan, layer, step)
    bias, strength = weights[2][start : start + size], weights[3][layer]
    for j in range(size):
        z[j] += (strength * total[j] + bias[j] - z[j]) * gain


@numba.njit(**PASTED)
def fire(shape, data, layer, sample, step, words, scratch, totals, active):
    """Spikes of a hidden layer; how many."""
    size, start = shape[0][layer], shape[1][layer]
    numbers, z = scratch[3][0], scratch[1][0, start : start + size]
    kept, used = scratch[2][start : start + size], 0
    fill(numbers[: (size + 3) // 4 * 4], stream(data, layer, 0, sample), step)
    for j in range(size):
        if 0 < z[j] < 1 and kept[j]:
            totals[4][OPEN, layer] += 1
        if numbers[j] < z[j] and kept[j]:
            set_bit(words, FIRED, start + j, step % STEPS)
            active[used] = j
            used += 1
    return used


@numba.njit(**PASTED)
def return_errors(shape, weights, plan, layer, step, words, scratch):
    """The errors of the layer above through its own weights, summed by neuron of ``layer``."""
    sizes, at, weight_at = shape
    above, size = layer + 1, sizes[layer]
    total = scratch[3][1][:size]
    for j in range(size):
        total[j] = 0
    factor = plan[3][above] * weights[3][above]
    bit, found = np.uint32(step % STEPS), False
    for k in range(sizes[above]):
        here = at[above] + k
        raised, lowered = words[RAISED, here] >> bit, words[LOWERED, here] >> bit
        sign = np.int64(raised & 1) - np.int64(lowered & 1)
        if sign != 0:
            row = weights[1][weight_at[above] + k * size : weight_at[above] + (k + 1) * size]
            add_scaled(row, np.float32(sign) * factor, total)
            found = True
    return found


@numba.njit(**PASTED)
def emit(shape, plan, data, layer, sample, step, words, scratch, totals):
    """Draw the error streams of a hidden layer."""
    size, start = shape[0][layer], shape[1][layer]
    numbers, z = scratch[3][0], scratch[1][0, start : start + size]
    d, kept = scratch[1][1, start : start + size], scratch[2][start : start + size]
    fill(numbers[: (size + 3) // 4 * 4], stream(data, layer, 1, sample), step)
    scale = plan[3][layer]
    for j in range(size):
        if 0 < z[j] < 1 and kept[j]:
            totals[4][REACHED, layer] += 1
            totals[4][CLIPPED, layer] += abs(d[j]) > scale
            if numbers[j] * scale < abs(d[j]):
                set_bit(words, RAISED if d[j] > 0 else LOWERED, start + j, step % STEPS)


@numba.njit(**PASTED)
def forward(shape, weights, plan, data, totals, sample, step, words, scratch, inputs, wins):
    """All layers' spikes of a step."""
    last, active = len(shape[0]) - 1, scratch[4][0]
    used = list_active(words[FIRED], inputs, np.uint64(step % STEPS), active)
    for layer in range(1, last):
        receive(shape, weights, plan, layer, active[:used], step, scratch)
        used = fire(shape, data, layer, sample, step, words, scratch, totals, active)
    receive(shape, weights, plan, last, active[:used], step, scratch)
    compare(shape, plan, data, sample, step, words, scratch, wins)


@numba.njit(**PASTED)
def backward(shape, weights, plan, data, sample, step, words, scratch, totals, moved):
    """All hidden layers' errors of a step; ``moved`` says which layers have had any so far."""
    for layer in range(len(shape[0]) - 2, 0, -1):
        found = return_errors(shape, weights, plan, layer, step, words, scratch)
        moved[layer] |= found
        if not moved[layer]:
            continue
        size, start = shape[0][layer], shape[1][layer]
        total, d = scratch[3][1][:size], scratch[1][1, start : start + size]
        gain = mean_gain(plan, layer, step)
        for j in range(size):
            d[j] += (total[j] - d[j]) * gain
        emit(shape, plan, data, layer, sample, step, words, scratch, totals)


@numba.njit(**PASTED)
def run_chunk(shape, weights, plan, data, totals, sample, chunk, words, scratch, moved, wins):
    """The steps of one word."""
    inputs, first = scratch[4][1], chunk * STEPS
    read_input(plan, data, scratch, sample, chunk, words[FIRED])
    known = list_words(words[FIRED, : shape[0][0]], ALL, inputs, scratch[5])
    for step in range(first, min(plan[0], first + STEPS)):
        forward(
            shape, weights, plan, data, totals, sample, step, words, scratch, inputs[:known], wins
        )
        if plan[6]:
            backward(shape, weights, plan, data, sample, step, words, scratch, totals, moved)
    if plan[6]:
        learn(shape, plan, chunk, words, totals, scratch)
    tally(shape, words, totals)


@numba.njit(KERNEL, **OPTIONS)
def run(shape, weights, plan, data, totals, results, scratch, first, last):
    """Samples ``first`` to ``last``; the words in ``scratch`` need not hold all steps.

    Words that are over are written over: the room does not grow with the steps.
    """
    moved = np.zeros(len(shape[0]), np.bool_)
    for sample in range(first, last):
        begin(shape, weights, plan, data, scratch, sample)
        for layer in range(len(moved)):
            moved[layer] = False
        for chunk in range((plan[0] + STEPS - 1) // STEPS):
            words = scratch[0][chunk % len(scratch[0])]
            clear(words)
            run_chunk(
                shape, weights, plan, data, totals, sample, chunk, words, scratch, moved,
                results[0][sample],
            )  # fmt: skip
        hand_out(shape, scratch[0], results[1][sample], results[2][sample], scratch)
