"""What the recurrent kernels for a GPU call: spikes on their way forward, gradients back.

One program runs one sample. A neuron is always the same thread's, which reads its own numbers
without waiting; what other threads wrote is read behind a barrier only. ``sent`` holds the spikes
of ``window`` steps before the sequence and then its own, row by row. Sums run in the order of
neurons or inputs. ``cumsum`` and ``total`` come with a kernel's imports.
"""

import triton
import triton.language as tl


@triton.jit
def list_recent(
    sent, recent, index, row, window, first, row_size, neurons, whole, LANES: tl.constexpr
):  # fmt: skip
    """Write neurons with a spike in the ``window`` rows before ``row``, all if ``whole``.

    ``recent`` holds the last row with a spike of each. Returns how many are listed.
    """
    listed = tl.full([], 0, tl.int32)
    for start in range(0, neurons, LANES):
        neuron = start + tl.arange(0, LANES)
        inside = neuron < neurons
        value = tl.load(sent + (row - 1) * row_size + first + neuron, inside, 0)
        last = tl.load(recent + first + neuron, inside, 0)
        last = tl.where(value != 0, tl.cast(row, tl.int32) - 1, last)
        tl.store(recent + first + neuron, last, inside)
        found = (inside & ((row - last <= window) | whole)).to(tl.int32)
        place = index + first + listed + cumsum(found, 0) - 1  # noqa: F821
        tl.store(place, neuron, found != 0)
        listed += total(found, 0)  # noqa: F821
    return listed


@triton.jit
def add_listed(
    rows, index, listed, sent, row, first, row_size, delays, by_input, by_neuron, cell, inputs,
    inside, DELAYED: tl.constexpr, TOGETHER: tl.constexpr, REAL: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """What reaches the inputs ``cell`` at step ``row`` from the listed neurons.

    ``rows[j]`` are the weights from neuron j, and ``delays`` its delays, at distances ``by_input``
    and ``by_neuron``.
    """
    result = tl.full([LANES], 0, REAL)
    for e in range(0, listed, TOGETHER):
        for u in tl.static_range(TOGETHER):
            here = e + u < listed
            j = tl.load(index + first + e + u, here, 0).to(tl.int64)
            weight = tl.load(rows + j * inputs + cell, inside & here, 0).to(REAL)
            if DELAYED:
                place = delays + j * by_neuron + cell * by_input
                sender = row - 1 - tl.load(place, inside & here, 0).to(tl.int64)
                value = tl.load(sent + sender * row_size + first + j, inside & here, 0)
            else:
                value = tl.load(sent + (row - 1) * row_size + first + j, here, 0)
            result += value.to(REAL) * weight
    return result


@triton.jit
def pull(
    weight, drive, t, steps, row_size, first, delays, by_input, by_neuron, neuron, neurons, inputs,
    inside, DELAYED: tl.constexpr, TOGETHER: tl.constexpr, REAL: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """The gradient of the spikes sent at step ``t``, from that of the drives they reached."""
    result = tl.full([LANES], 0, REAL)
    for start in range(0, inputs, TOGETHER):
        for u in tl.static_range(TOGETHER):
            i = tl.cast(start + u, tl.int64)
            here = inside & (i < inputs)
            arrival = t + 1 + tl.full([LANES], 0, tl.int64)
            if DELAYED:
                arrival += tl.load(delays + i * by_input + neuron * by_neuron, here, 0)
            here = here & (arrival >= 0) & (arrival < steps)
            value = tl.load(drive + arrival * row_size + first + i, here, 0)
            result += value * tl.load(weight + i * neurons + neuron, here, 0).to(REAL)
    return result
