"""What neurons should do, passed on backwards, and what follows for the weights."""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import OPTIONS, NoAlias, lowest_bit

real = "f4"

WIDE = np.dtype(real).type
TILE = 256
INLINE = {"nogil": True, "boundscheck": False, "error_model": "numpy", "pipeline_class": NoAlias}


@numba.njit(**INLINE)
def any_spike(trains, b, n):
    """Whether a neuron spiked in a sample."""
    found = np.uint32(0)
    for place in range(trains.shape[2]):
        found |= trains[b, n, place]
    return found != 0


@numba.njit(
    f"void({real}[:, ::1], {real}[:, ::1], {real}, i1[:, ::1], {real}[:, ::1], i8, i8)", **OPTIONS
)
def desire(weights, errors, gate, signs, sums, first, last):
    """Signs of the inputs in tiles ``first`` to ``last``: of D where |D| >= gate, else 0.

    D[b, i] = sum_j weights[j, i] errors[b, j], in the order of j.
    """
    size, count = weights.shape
    for tile in range(first, last):
        begin, end = tile * TILE, min(count, (tile + 1) * TILE)
        for b in range(len(errors)):
            for i in range(begin, end):
                sums[b, i] = 0
            for j in range(size):
                error = errors[b, j]
                if error != 0:
                    for i in range(begin, end):
                        sums[b, i] += error * weights[j, i]
            for i in range(begin, end):
                signs[b, i] = np.int8(sums[b, i] >= gate) - np.int8(sums[b, i] <= -gate)


@numba.njit(
    f"void(u4[:, :, ::1], {real}, b1[::1], i4[:, ::1], i8[::1], {real}[:, :, ::1], i8, i8)",
    **OPTIONS,
)
def trace(inputs, decay, wanted, active, number, traces, first, last):
    """Of samples that are wanted: the inputs that spike, and their traces (batch, time, active).

    x(t) = decay x(t - 1) + s(t), the spike of the same step included.
    """
    steps = traces.shape[1]
    for b in range(first, last):
        number[b] = 0
        if not wanted[b]:
            continue
        for i in range(inputs.shape[1]):
            if any_spike(inputs, b, i):
                active[b, number[b]] = i
                number[b] += 1
        for k in range(number[b]):
            i, x = active[b, k], WIDE(0)
            for t in range(steps):
                spike = (inputs[b, i, t // 32] >> np.uint32(t % 32)) & np.uint32(1)
                x = decay * x + WIDE(spike)
                traces[b, t, k] = x


@numba.njit(
    f"void({real}[:, ::1], {real}, i1[:, ::1], u4[:, :, ::1],"
    f" Tuple((i4[:, ::1], i8[::1], {real}[:, :, ::1])), i8, i8)",
    **OPTIONS,
)
def learn(weights, rate, signs, outputs, traced, first, last):
    """Change the weights of neurons ``first`` to ``last``, sample after sample.

    weights[j, i] += (rate sign_j) sum_t s_j(t) x_i(t), in the order of t.
    """
    active, number, traces = traced
    total = np.empty(weights.shape[1], WIDE)
    for j in range(first, last):
        for b in range(len(signs)):
            if signs[b, j] == 0 or not any_spike(outputs, b, j):
                continue
            count = number[b]
            for k in range(count):
                total[k] = 0
            for place in range(outputs.shape[2]):
                bits = np.uint64(outputs[b, j, place])
                while bits != 0:
                    t = 32 * place + lowest_bit(bits)
                    bits = bits & (bits - np.uint64(1))
                    for k in range(count):
                        total[k] += traces[b, t, k]
            step = rate * WIDE(signs[b, j])
            for k in range(count):
                weights[j, active[b, k]] += step * total[k]
