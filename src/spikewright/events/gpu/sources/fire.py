# ruff: noqa: F821, PLR0915
"""Spiking neurons without feedback: forward, and their adjoint backward.

A program takes some neurons of one sample, a thread each, from arrival to arrival. Neurons have
one list of arrivals a sample, or if ``LISTED`` one each. No two programs write to the same place.
"""

import triton
import triton.language as tl


@triton.jit
def bounds(offsets, sample, lane, inside, LISTED: tl.constexpr):
    """Where the lists of these neurons begin and end, and the length of the longest."""
    if LISTED:
        first = tl.load(offsets + lane, inside, 0)
        end = tl.load(offsets + lane + 1, inside, 0)
        longest = greatest(end - first, 0)
    else:
        first = tl.load(offsets + sample)
        end = tl.load(offsets + sample + 1)
        longest = end - first
    return first, end, longest


@triton.jit
def synapse(rows, k, arrives, neuron, neurons, LISTED: tl.constexpr):
    """Where arrival k of these neurons has its weight, and where its gradients go."""
    if LISTED:
        weighted = k
        arrival = k
    else:
        weighted = tl.load(rows + k, arrives, 0) * neurons + neuron
        arrival = k * neurons + neuron
    return weighted, arrival


@triton.jit(do_not_specialize=["neurons", "blocks", "slots", "most"])
def forward(
    times, rows, weight, offsets, taus_mem, taus_syn, thresholds, resets, duration,
    spike_times, spike_currents, counts, stopped, last, neurons, blocks, slots, most,
    LISTED: tl.constexpr, KIND: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Spikes into ``slots`` places a neuron; those beyond are counted, and written nowhere."""
    sample, neuron, inside = place(blocks, neurons, LANES)
    lane = sample * neurons + neuron
    first, end, longest = bounds(offsets, sample, lane, inside, LISTED)
    tau_mem, tau_syn, threshold, reset = load_cells(
        taus_mem, taus_syn, thresholds, resets, neuron, inside
    )
    close = tl.load(duration)
    t = tl.full([LANES], 0, tl.float64)
    u = tl.full([LANES], 0, tl.float64)
    j = tl.full([LANES], 0, tl.float64)
    n = tl.full([LANES], 0, tl.int32)
    halted = tl.full([LANES], 0, tl.int32)
    for step in range(longest + 1):
        k = first + step
        arrives = k < end
        right = tl.where(arrives, tl.load(times + k, arrives, 0.0), close)
        later, fallen, found, limit = look_ahead(u, j, right - t, tau_mem, tau_syn, threshold)
        found = found & inside & (halted == 0)
        going = total(found.to(tl.int32), 0)
        while going > 0:
            halted = tl.where(found & (n >= most), 1, halted)
            found = found & (n < most)
            s = rise_time(u, j, found, limit, tau_mem, tau_syn, threshold, KIND)
            t = tl.where(found, tl.minimum(t + s, right), t)
            j = tl.where(found, j * libdevice.exp(0 - s / tau_syn), j)
            slot = (sample * slots + n) * neurons + neuron
            tl.store(spike_times + slot, t, found & (n < slots))
            tl.store(spike_currents + slot, j, found & (n < slots))
            u = tl.where(found, reset, u)
            n += found.to(tl.int32)
            later, fallen, found, limit = look_ahead(u, j, right - t, tau_mem, tau_syn, threshold)
            found = found & inside & (halted == 0)
            going = total(found.to(tl.int32), 0)
        weighted, _ = synapse(rows, k, arrives, neuron, neurons, LISTED)
        u = later
        j = fallen + tl.load(weight + weighted, inside & arrives, 0.0)
        t = tl.full([LANES], 0, tl.float64) + right
    tl.store(counts + lane, n, inside)
    tl.store(stopped + lane, halted, inside)
    tl.store(last + lane, u, inside)


@triton.jit
def latest(spike_times, n, sample, slots, neuron, neurons, inside):
    """Place and time of the n-th spike of each of these neurons, -1 where n is 0."""
    slot = (sample * slots + n - 1) * neurons + neuron
    return slot, tl.load(spike_times + slot, inside & (n > 0), -1.0)


@triton.jit(do_not_specialize=["neurons", "blocks", "slots"])
def backward(
    times, rows, weight, offsets, taus_mem, taus_syn, thresholds, resets, duration,
    spike_times, spike_currents, counts, g_times, g_counts, g_last,
    g_weight, g_arrival, g_tau_mem, g_tau_syn, g_threshold, g_reset, neurons, blocks, slots,
    LISTED: tl.constexpr, SYNAPSES: tl.constexpr, ARRIVALS: tl.constexpr, CELLS: tl.constexpr,
    LEAST: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Gradients from the trial's end back to its start; see ``adjoint`` for their names."""
    sample, neuron, inside = place(blocks, neurons, LANES)
    lane = sample * neurons + neuron
    first, end, longest = bounds(offsets, sample, lane, inside, LISTED)
    tau_mem, tau_syn, threshold, reset = load_cells(
        taus_mem, taus_syn, thresholds, resets, neuron, inside
    )
    kick = tl.load(g_counts + lane, inside, 0.0) / threshold
    gu = tl.load(g_last + lane, inside, 0.0)
    n = tl.load(counts + lane, inside, 0)
    nothing = tl.full([LANES], 0, tl.float64)
    t = nothing + tl.load(duration)
    gj, mu, mj, sj = nothing, nothing, nothing, nothing
    sum_mem, sum_syn, sum_threshold, sum_reset = nothing, nothing, nothing, nothing
    for step in range(longest + 1):
        k = end - 1 - step
        arrives = k >= first
        left = tl.where(arrives, tl.load(times + k, arrives, 0.0), 0.0)
        slot, spike = latest(spike_times, n, sample, slots, neuron, neurons, inside)
        due = spike > left
        going = tl.full([], 1, tl.int32)
        while going > 0:
            # To the neuron's own spike where one is left, to the arrival elsewhere.
            to = tl.where(due, spike, left)
            gu, gj, mu, mj, sj = earlier(t - to, gu, gj, mu, mj, sj, tau_mem, tau_syn, CELLS)
            t = nothing + to
            going = total(due.to(tl.int32), 0)
            if going > 0:
                j = tl.load(spike_currents + slot, due, 0.0)
                g_time = tl.load(g_times + slot, due, 0.0)
                gu, mu, sum_mem, sum_threshold, sum_reset = before_spike(
                    due, j, g_time, kick, gu, mu, sum_mem, sum_threshold, sum_reset,
                    tau_mem, threshold, reset, LEAST, CELLS,
                )  # fmt: skip
                n -= due.to(tl.int32)
                slot, spike = latest(spike_times, n, sample, slots, neuron, neurons, inside)
                due = due & (spike > left)
        weighted, arrival = synapse(rows, k, arrives, neuron, neurons, LISTED)
        there = inside & arrives
        w = tl.load(weight + weighted, there, 0.0)
        if SYNAPSES:
            tl.store(g_weight + arrival, gj, there)
        if ARRIVALS:
            tl.store(g_arrival + arrival, w * (gj / tau_syn - gu / tau_mem), there)
        if CELLS:
            sum_mem += w * mj
            sum_syn += w * sj
    if CELLS:
        tl.store(g_tau_mem + lane, sum_mem, inside)
        tl.store(g_tau_syn + lane, sum_syn, inside)
        tl.store(g_threshold + lane, sum_threshold, inside)
        tl.store(g_reset + lane, sum_reset, inside)
