"""What the generated recurrent kernels call: spikes on their way forward, gradients back.

``rows[j]`` are the weights from neuron j to all inputs. Spikes are sent into ``ring``, whose row
``t % len(ring)`` holds what reaches the inputs at step t. Each sum runs in the order of time and
then of neurons, so neither threads nor the cutting of a sequence change a bit.
"""

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import NoAlias, lowest_bit

_PLAIN = {"nogil": True, "boundscheck": False, "error_model": "numpy", "pipeline_class": NoAlias}
_FUSED = {**_PLAIN, "fastmath": {"contract"}}
_FREE = {**_PLAIN, "fastmath": {"contract", "reassoc"}}
ONE = np.uint64(1)
SHARE = 4
"""From one active neuron in this many on, a whole matrix product costs less than single rows."""
_COLUMNS = 1024


@numba.njit(**_PLAIN)
def list_marked(bits, size, whole, index):
    """Write the neurons whose bit is set to ``index``, all if ``whole``; return their number."""
    if whole:
        return list_all(size, index)
    listed = 0
    for w in range(len(bits)):
        mask = bits[w]
        while mask != 0:
            index[listed] = 64 * w + lowest_bit(mask)
            listed += 1
            mask &= mask - ONE
    return listed


@numba.njit(**_PLAIN)
def list_nonzero(values, whole, index):
    """Write the places that are not zero to ``index``, all if ``whole``; return their number."""
    listed = 0
    for j in range(len(values)):
        if whole or values[j] != 0:
            index[listed] = j
            listed += 1
    return listed


@numba.njit(**_PLAIN)
def list_all(size, index):
    """Write all neurons to ``index``; return their number."""
    for j in range(size):
        index[j] = j
    return size


@numba.njit(**_PLAIN)
def unbounded(values):
    """Whether any value is NaN or infinite."""
    found = False
    for j in range(len(values)):
        found |= values[j] - values[j] != 0
    return found


@numba.njit(**_FUSED)
def send_now(index, listed, spikes, time, rows, delays, ring):
    """Add the rows of the listed neurons, four at a time."""
    total, size = ring[0], rows.shape[1]
    e = 0
    while e + 4 <= listed:
        i, j, k, m = index[e], index[e + 1], index[e + 2], index[e + 3]
        p, q, r, s = spikes[i], spikes[j], spikes[k], spikes[m]
        a, b, c, d = rows[i], rows[j], rows[k], rows[m]
        for n in range(size):
            total[n] = (((total[n] + p * a[n]) + q * b[n]) + r * c[n]) + s * d[n]
        e += 4
    while e < listed:
        p, a = spikes[index[e]], rows[index[e]]
        for n in range(size):
            total[n] += p * a[n]
        e += 1


@numba.njit(**_FUSED)
def send_axon(index, listed, spikes, time, rows, delays, ring):
    """Add the row of each listed neuron where its delay puts it; what is past is left out."""
    for e in range(listed):
        j = index[e]
        arrival = time + delays[j, 0]
        if arrival >= 0:
            total, p, a = ring[arrival % len(ring)], spikes[j], rows[j]
            for n in range(len(a)):
                total[n] += p * a[n]


@numba.njit(**_FUSED)
def send_synapse(index, listed, spikes, time, rows, delays, ring):
    """Add each weight of each listed neuron where its own delay puts it."""
    depth = len(ring)
    for e in range(listed):
        j = index[e]
        p, a, delay, start = spikes[j], rows[j], delays[j], time % depth
        for n in range(len(a)):
            place = start + delay[n]
            if time + delay[n] >= 0:
                ring[place - depth if place >= depth else place, n] += p * a[n]


@numba.njit(**_FREE)
def dot(a, b):
    """The scalar product, in an order fixed by the length."""
    total = a.dtype.type(0)
    for n in range(len(a)):
        total += a[n] * b[n]
    return total


@numba.njit(**_PLAIN)
def receive_now(index, listed, time, sample, drive, rows, delays, out):
    """The gradient of spikes sent at ``time`` for the listed neurons, from that of the drive."""
    if time < drive.shape[0]:
        gradient = drive[time, sample]
        for e in range(listed):
            j = index[e]
            out[j] = dot(rows[j], gradient)


@numba.njit(**_PLAIN)
def receive_axon(index, listed, time, sample, drive, rows, delays, out):
    """`receive_now` with a delay for each neuron."""
    for e in range(listed):
        j = index[e]
        arrival = time + delays[j, 0]
        if 0 <= arrival < drive.shape[0]:
            out[j] = dot(rows[j], drive[arrival, sample])


@numba.njit(**_FUSED)
def receive_synapse(index, listed, time, sample, drive, rows, delays, out):
    """`receive_now` with a delay for each synapse."""
    for e in range(listed):
        j = index[e]
        a, delay = rows[j], delays[j]
        for n in range(len(a)):
            arrival = time + delay[n]
            if 0 <= arrival < drive.shape[0]:
                out[j] += a[n] * drive[arrival, sample, n]


@numba.njit(**_FUSED)
def multiply(gradient, weight, width, out):
    """``out[g] = gradient[g] @ weight`` for ``width`` samples, whose rows are zero before."""
    inputs, neurons = weight.shape
    for first in range(0, neurons, _COLUMNS):
        last = min(first + _COLUMNS, neurons)
        g = 0
        while g + 4 <= width:
            _multiply_four(
                gradient[g : g + 4],
                weight,
                first,
                out[g, first:last],
                out[g + 1, first:last],
                out[g + 2, first:last],
                out[g + 3, first:last],
            )
            g += 4
        while g < width:
            total = out[g, first:last]
            for i in range(inputs):
                p, a = gradient[g, i], weight[i, first:last]
                for n in range(last - first):
                    total[n] += p * a[n]
            g += 1


@numba.njit(**_FUSED)
def _multiply_four(gradient, weight, first, o0, o1, o2, o3):
    """Four samples share each row they load, and four rows each of their sums."""
    inputs, size = weight.shape[0], len(o0)
    last = first + size
    i = 0
    while i + 4 <= inputs:
        a, b = weight[i, first:last], weight[i + 1, first:last]
        c, d = weight[i + 2, first:last], weight[i + 3, first:last]
        p0, q0, r0, s0 = gradient[0, i], gradient[0, i + 1], gradient[0, i + 2], gradient[0, i + 3]
        p1, q1, r1, s1 = gradient[1, i], gradient[1, i + 1], gradient[1, i + 2], gradient[1, i + 3]
        p2, q2, r2, s2 = gradient[2, i], gradient[2, i + 1], gradient[2, i + 2], gradient[2, i + 3]
        p3, q3, r3, s3 = gradient[3, i], gradient[3, i + 1], gradient[3, i + 2], gradient[3, i + 3]
        for n in range(size):
            o0[n] = (((o0[n] + p0 * a[n]) + q0 * b[n]) + r0 * c[n]) + s0 * d[n]
            o1[n] = (((o1[n] + p1 * a[n]) + q1 * b[n]) + r1 * c[n]) + s1 * d[n]
            o2[n] = (((o2[n] + p2 * a[n]) + q2 * b[n]) + r2 * c[n]) + s2 * d[n]
            o3[n] = (((o3[n] + p3 * a[n]) + q3 * b[n]) + r3 * c[n]) + s3 * d[n]
        i += 4
    while i < inputs:
        a = weight[i, first:last]
        p0, p1, p2, p3 = gradient[0, i], gradient[1, i], gradient[2, i], gradient[3, i]
        for n in range(size):
            o0[n] += p0 * a[n]
            o1[n] += p1 * a[n]
            o2[n] += p2 * a[n]
            o3[n] += p3 * a[n]
        i += 1
