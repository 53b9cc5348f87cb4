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
    tau_mem = tl.load(taus_mem + neuron, inside, 1.0)
    tau_syn = tl.load(taus_syn + neuron, inside, 1.0)
    threshold = tl.load(thresholds + neuron, inside, 1.0)
    reset = tl.load(resets + neuron, inside, 0.0)
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


@triton.jit(do_not_specialize=["neurons", "blocks", "slots"])
def backward(
    times, rows, weight, offsets, taus_mem, taus_syn, thresholds, resets, duration,
    spike_times, spike_currents, counts, g_times, g_counts, g_last,
    g_weight, g_arrival, g_tau_mem, g_tau_syn, g_threshold, g_reset, neurons, blocks, slots,
    LISTED: tl.constexpr, SYNAPSES: tl.constexpr, ARRIVALS: tl.constexpr, CELLS: tl.constexpr,
    LEAST: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Gradients ``gu = dL/du`` and ``gj = dL/dj`` from the trial's end back to its start.

    The gradient of a tau is the sum over all arrivals and spikes of what each brings into the
    trial, its weight into j and the reset into u, times what a unit of that yields later: ``mu``
    and ``mj`` for tau_mem, ``sj`` for tau_syn. So no state need be kept or worked out again.
    """
    sample, neuron, inside = place(blocks, neurons, LANES)
    lane = sample * neurons + neuron
    first, end, longest = bounds(offsets, sample, lane, inside, LISTED)
    tau_mem = tl.load(taus_mem + neuron, inside, 1.0)
    tau_syn = tl.load(taus_syn + neuron, inside, 1.0)
    threshold = tl.load(thresholds + neuron, inside, 1.0)
    reset = tl.load(resets + neuron, inside, 0.0)
    kick = tl.load(g_counts + lane, inside, 0.0) / threshold
    gu = tl.load(g_last + lane, inside, 0.0)
    n = tl.load(counts + lane, inside, 0)
    t = tl.full([LANES], 0, tl.float64) + tl.load(duration)
    gj = tl.full([LANES], 0, tl.float64)
    mu = tl.full([LANES], 0, tl.float64)
    mj = tl.full([LANES], 0, tl.float64)
    sj = tl.full([LANES], 0, tl.float64)
    sum_mem = tl.full([LANES], 0, tl.float64)
    sum_syn = tl.full([LANES], 0, tl.float64)
    sum_threshold = tl.full([LANES], 0, tl.float64)
    sum_reset = tl.full([LANES], 0, tl.float64)
    for step in range(longest + 1):
        k = end - 1 - step
        arrives = k >= first
        left = tl.where(arrives, tl.load(times + k, arrives, 0.0), 0.0)
        slot = (sample * slots + n - 1) * neurons + neuron
        spike = tl.load(spike_times + slot, inside & (n > 0), -1.0)
        due = spike > left
        going = tl.full([], 1, tl.int32)
        while going > 0:
            # To the neuron's own spike where one is left, to the arrival elsewhere.
            to = tl.where(due, spike, left)
            a, b, k_flow = flow(t - to, tau_mem, tau_syn)
            if CELLS:
                mem_a, mem_k, syn_b, syn_k = flow_slopes(t - to, a, b, k_flow, tau_mem, tau_syn)
                mj = mj * b + mu * k_flow + gu * mem_k
                mu = mu * a + gu * mem_a
                sj = sj * b + gj * syn_b + gu * syn_k
            gj = gj * b + gu * k_flow
            gu = gu * a
            t = tl.full([LANES], 0, tl.float64) + to
            going = total(due.to(tl.int32), 0)
            if going > 0:
                j = tl.load(spike_currents + slot, due, 0.0)
                e = tl.load(g_times + slot, due, 0.0) - gu * (j - reset) / tau_mem
                rise = tl.maximum(j - threshold, LEAST * threshold) / tau_mem
                before = tl.where(due, kick - e / rise, gu)
                if CELLS:
                    sum_mem += tl.where(due, reset * mu, 0.0)
                    sum_reset += tl.where(due, gu, 0.0)
                    sum_threshold -= tl.where(due, before, 0.0)
                    mu = tl.where(due, 0.0, mu)
                gu = before
                n -= due.to(tl.int32)
                slot = (sample * slots + n - 1) * neurons + neuron
                spike = tl.load(spike_times + slot, inside & (n > 0), -1.0)
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
