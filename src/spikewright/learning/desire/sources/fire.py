"""Spikes of a layer of neurons, from those of the layer before or from currents.

v <- decay v + gain I;  a spike where v >= level, then v <- v - threshold

Spikes are bits: of neuron n in sample b, bit t % 32 of ``trains[b, n, t // 32]`` is that of step
t. Neurons are taken in tiles, whose weights stay in the cache for a whole batch, turned so that
those of an input lie in a row; inputs without a spike in the batch are left out. The weights of an
input that spikes in more than half of the steps are added once for all steps, and taken away again
in those without a spike. Terms are added in the order of the inputs.
"""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import OPTIONS, NoAlias, count_bits, lowest_bit

real = "f4"

WIDE = np.dtype(real).type
TILE = 128
INLINE = {"nogil": True, "boundscheck": False, "error_model": "numpy", "pipeline_class": NoAlias}


@numba.njit(**INLINE)
def add_row(current, t, rows, i):
    """Let the weights of input ``i`` act at step ``t``."""
    for j in range(TILE):
        current[t, j] += rows[i, j]


@numba.njit(**INLINE)
def take_row(current, t, rows, i):
    """Take them away again."""
    for j in range(TILE):
        current[t, j] -= rows[i, j]


@numba.njit(**INLINE)
def add_trains(inputs, b, steps, rows, current):
    """Let the spikes of a sample's inputs act; ``current[steps]`` is what acts at every step."""
    for i in range(inputs.shape[1]):
        spikes = np.int64(0)
        for place in range(inputs.shape[2]):
            spikes += count_bits(np.uint64(inputs[b, i, place]))
        if spikes == 0:
            continue
        turned = 2 * spikes > steps
        if turned:
            add_row(current, steps, rows, i)
        for place in range(inputs.shape[2]):
            bits = np.uint64(inputs[b, i, place])
            if turned:
                here = min(32, steps - 32 * place)
                bits = bits ^ ((np.uint64(1) << np.uint64(here)) - np.uint64(1))
            while bits != 0:
                t = 32 * place + lowest_bit(bits)
                bits = bits & (bits - np.uint64(1))
                if turned:
                    take_row(current, t, rows, i)
                else:
                    add_row(current, t, rows, i)


@numba.njit(**INLINE)
def integrate(current, t, steps, cells, scale, v, bits):
    """One step of the neurons of a tile; their spikes become bit ``t % 32``."""
    decay, gain, level, threshold = cells
    place = np.uint32(t % 32)
    for j in range(TILE):
        here = decay * v[j] + gain * (scale * (current[t, j] + current[steps, j]))
        fired = here >= level
        v[j] = here - threshold if fired else here
        bits[j] |= np.uint32(fired) << place


@numba.njit(**INLINE)
def run_tile(current, cells, scale, room, outputs, b, begin):
    """The spikes of the tile of neurons from ``begin`` on in sample ``b``."""
    v, bits = room
    steps = len(current) - 1
    end = min(outputs.shape[1], begin + TILE)
    v[:] = 0
    for t in range(steps):
        if t % 32 == 0:
            bits[:] = 0
        integrate(current, t, steps, cells, scale, v, bits)
        if t % 32 == 31 or t == steps - 1:
            for j in range(begin, end):
                outputs[b, j, t // 32] = bits[j - begin]


@numba.njit(**INLINE)
def spiking(inputs):
    """The inputs with a spike in any sample; in a small batch they are few."""
    used = np.empty(inputs.shape[1], np.int64)
    count = 0
    for i in range(inputs.shape[1]):
        found = np.uint32(0)
        for b in range(len(inputs)):
            for place in range(inputs.shape[2]):
                found |= inputs[b, i, place]
        if found != 0:
            used[count] = i
            count += 1
    return used[:count]


@numba.njit(**INLINE)
def turn(weights, used, begin, end, rows):
    """Copy the weights of the inputs that are used into rows of a tile; the rest stays as it is."""
    for a in range(len(used)):
        i = np.uint64(used[a])
        for j in range(begin, end):
            rows[i, j - begin] = weights[j, i]
        rows[i, end - begin :] = 0


@numba.njit(
    f"void({real}[:, ::1], UniTuple({real}, 4), {real}, i8, u4[:, :, ::1], u4[:, :, ::1], i8, i8)",
    **OPTIONS,
)
def fire(weights, cells, scale, steps, inputs, outputs, first, last):
    """Outputs of the tiles from ``first`` to ``last``, from ``weights`` (outputs, inputs)."""
    size = len(weights)
    used = spiking(inputs)
    rows = np.empty((weights.shape[1], TILE), WIDE)
    current = np.empty((steps + 1, TILE), WIDE)
    room = np.empty(TILE, WIDE), np.empty(TILE, np.uint32)
    for tile in range(first, last):
        begin = tile * TILE
        turn(weights, used, begin, min(size, begin + TILE), rows)
        for b in range(len(inputs)):
            current[:] = 0
            add_trains(inputs, b, steps, rows, current)
            run_tile(current, cells, scale, room, outputs, b, begin)


@numba.njit(f"void({real}[:, :, :], UniTuple({real}, 4), u4[:, :, ::1], i8, i8)", **OPTIONS)
def encode(x, cells, outputs, first, last):
    """Spikes of neurons that each get their own current, for some samples of x (time, batch, n)."""
    steps, _, size = x.shape
    current = np.zeros((steps + 1, TILE), WIDE)
    room = np.empty(TILE, WIDE), np.empty(TILE, np.uint32)
    for b in range(first, last):
        for begin in range(0, size, TILE):
            end = min(size, begin + TILE)
            current[:] = 0
            for t in range(steps):
                for j in range(begin, end):
                    current[t, j - begin] = x[t, b, j]
            run_tile(current, cells, WIDE(1), room, outputs, b, begin)


@numba.njit(f"b1({real}[:, :, :], u4[:, :, ::1])", **OPTIONS)
def pack(x, outputs):
    """Turn a raster of zeros and ones (time, batch, n) into bits; False if there is another."""
    outputs[:] = 0
    known = True
    for t in range(x.shape[0]):
        for b in range(x.shape[1]):
            for n in range(x.shape[2]):
                spike = x[t, b, n] != 0
                known &= (x[t, b, n] == 1) | ~spike
                outputs[b, n, t // 32] |= np.uint32(spike) << np.uint32(t % 32)
    return known
