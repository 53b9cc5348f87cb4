# ruff: noqa: F821, PLR0915
"""Spiking neurons with feedback: forward, and their adjoint backward.

A program takes one sample with all its neurons, a thread each, from event to event: the earliest
of an external arrival, one that a spike sent back, and a crossing. It writes what happened into a
log, which backward reads in reverse. Threads read what others wrote behind a barrier only.

A log entry is the row of an arrival, or -1 for the spikes of one moment.
"""

import triton
import triton.language as tl


@triton.jit
def next_fed(
    spike_times, counts, delivered, sources, delays, sample, neurons, slots, links,
    LANES: tl.constexpr,
):  # fmt: skip
    """The earliest arrival that is on its way back, infinity for none, and its row."""
    soonest = tl.full([], float("inf"), tl.float64)
    link = tl.full([], 0, tl.int64)
    for start in range(0, links, LANES):
        row = start + tl.arange(0, LANES).to(tl.int64)
        there = row < links
        source = tl.load(sources + row, there, 0)
        number = tl.load(delivered + sample * links + row, there, 0)
        waits = there & (number < tl.load(counts + sample * neurons + source, there, 0))
        sent = tl.load(spike_times + (sample * slots + number) * neurons + source, waits, 0.0)
        due = tl.where(waits, sent + tl.load(delays + row, there, 0.0), float("inf"))
        first = 0 - greatest(0 - due, 0)
        found = 0 - greatest(tl.where(due == first, 0 - row, 0 - links), 0)
        link = tl.where(first < soonest, found, link)
        soonest = tl.minimum(first, soonest)
    return soonest, link


@triton.jit(do_not_specialize=["neurons", "links", "external", "slots", "room", "most"])
def forward(
    times, rows, weight, offsets, sources, delays, taus_mem, taus_syn, thresholds, resets, duration,
    spike_times, spike_currents, counts, delivered, log_times, log_rows, log_numbers, lengths, full,
    stopped, last, neurons, links, external, slots, room, most,
    KIND: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Spikes into ``slots`` places a neuron, events into ``room`` of a sample; ``full`` if not."""
    sample = tl.program_id(0).to(tl.int64)
    neuron = tl.arange(0, LANES).to(tl.int64)
    inside = neuron < neurons
    lane = sample * neurons + neuron
    tau_mem = tl.load(taus_mem + neuron, inside, 1.0)
    tau_syn = tl.load(taus_syn + neuron, inside, 1.0)
    threshold = tl.load(thresholds + neuron, inside, 1.0)
    reset = tl.load(resets + neuron, inside, 0.0)
    close = tl.load(duration)
    k = tl.load(offsets + sample)
    end = tl.load(offsets + sample + 1)
    t = tl.full([], 0, tl.float64)
    u = tl.full([LANES], 0, tl.float64)
    j = tl.full([LANES], 0, tl.float64)
    n = tl.full([LANES], 0, tl.int32)
    halted = tl.full([LANES], 0, tl.int32)
    written = tl.full([], 0, tl.int64)
    overflow = tl.full([], 0, tl.int32)
    going = tl.full([], 1, tl.int32)
    while going > 0:
        outer = tl.load(times + k, k < end, float("inf"))
        fed, link = next_fed(
            spike_times, counts, delivered, sources, delays, sample, neurons, slots, links, LANES
        )
        soonest = tl.minimum(outer, fed)
        right = tl.minimum(soonest, close)
        later, fallen, found, limit = look_ahead(u, j, right - t, tau_mem, tau_syn, threshold)
        found = found & inside & (halted == 0)
        entry = sample * room + written
        kept = written < room
        if total(found.to(tl.int32), 0) > 0:
            s = rise_time(u, j, found, limit, tau_mem, tau_syn, threshold, KIND)
            wait = 0 - greatest(tl.where(found, 0 - s, float("-inf")), 0)
            found = found & (s == wait)
            a, b, gain = flow(wait + tl.full([LANES], 0, tl.float64), tau_mem, tau_syn)
            u = u * a + j * gain
            j = j * b
            t = tl.minimum(t + wait, right)
            halted = tl.where(found & (n >= most), 1, halted)
            found = found & (n < most)
            u = tl.where(found, reset, u)
            slot = (sample * slots + n) * neurons + neuron
            now = t + tl.full([LANES], 0, tl.float64)
            tl.store(spike_times + slot, now, found & (n < slots))
            tl.store(spike_currents + slot, j, found & (n < slots))
            n += found.to(tl.int32)
            tl.store(counts + lane, n, inside)
            # A moment that only halts neurons leaves no entry.
            fired = total(found.to(tl.int32), 0) > 0
            tl.store(log_times + entry, t, kept & fired)
            tl.store(log_rows + entry, -1, kept & fired)
            lost = total((n > slots).to(tl.int32), 0)
            overflow = tl.where((lost > 0) | (fired & (written >= room)), 1, overflow)
            written += fired.to(tl.int64)
            going = tl.where(overflow > 0, 0, 1)
        else:
            u = later
            j = fallen
            t = right
            if soonest <= close:
                back = fed < outer
                row = tl.where(back, external + link, tl.load(rows + k, k < end, 0))
                j = j + tl.load(weight + row * neurons + neuron, inside, 0.0)
                number = tl.load(delivered + sample * links + link, back, 0)
                tl.debug_barrier()
                tl.store(delivered + sample * links + link, number + 1, back)
                tl.store(log_times + entry, t, kept)
                tl.store(log_rows + entry, row.to(tl.int32), kept)
                tl.store(log_numbers + entry, number, kept)
                k = tl.where(back, k, k + 1)
                overflow = tl.where(written >= room, 1, overflow)
                written += 1
                going = tl.where(overflow > 0, 0, 1)
            else:
                going = tl.full([], 0, tl.int32)
        tl.debug_barrier()
    tl.store(lengths + sample, written)
    tl.store(full + sample, overflow)
    tl.store(stopped + lane, halted, inside)
    tl.store(last + lane, u, inside)


@triton.jit(do_not_specialize=["neurons", "external", "slots", "room"])
def backward(
    weight, sources, taus_mem, taus_syn, thresholds, resets, duration,
    spike_times, spike_currents, counts, log_times, log_rows, log_numbers, lengths,
    g_times, g_counts, g_last, g_weight, g_arrival, g_tau_mem, g_tau_syn, g_threshold, g_reset,
    neurons, external, slots, room, LEAST: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Gradients as in ``fire``; that of a fed-back arrival goes into ``g_times`` of its spike."""
    sample = tl.program_id(0).to(tl.int64)
    neuron = tl.arange(0, LANES).to(tl.int64)
    inside = neuron < neurons
    lane = sample * neurons + neuron
    tau_mem = tl.load(taus_mem + neuron, inside, 1.0)
    tau_syn = tl.load(taus_syn + neuron, inside, 1.0)
    threshold = tl.load(thresholds + neuron, inside, 1.0)
    reset = tl.load(resets + neuron, inside, 0.0)
    kick = tl.load(g_counts + lane, inside, 0.0) / threshold
    gu = tl.load(g_last + lane, inside, 0.0)
    n = tl.load(counts + lane, inside, 0)
    t = tl.load(duration)
    gj = tl.full([LANES], 0, tl.float64)
    mu = tl.full([LANES], 0, tl.float64)
    mj = tl.full([LANES], 0, tl.float64)
    sj = tl.full([LANES], 0, tl.float64)
    sum_mem = tl.full([LANES], 0, tl.float64)
    sum_syn = tl.full([LANES], 0, tl.float64)
    sum_threshold = tl.full([LANES], 0, tl.float64)
    sum_reset = tl.full([LANES], 0, tl.float64)
    length = tl.load(lengths + sample)
    for step in range(length):
        entry = sample * room + length - 1 - step
        when = tl.load(log_times + entry)
        row = tl.load(log_rows + entry)
        h = t - when + tl.full([LANES], 0, tl.float64)
        a, b, gain = flow(h, tau_mem, tau_syn)
        mem_a, mem_k, syn_b, syn_k = flow_slopes(h, a, b, gain, tau_mem, tau_syn)
        mj = mj * b + mu * gain + gu * mem_k
        mu = mu * a + gu * mem_a
        sj = sj * b + gj * syn_b + gu * syn_k
        gj = gj * b + gu * gain
        gu = gu * a
        t = when
        if row < 0:
            slot = (sample * slots + n - 1) * neurons + neuron
            due = inside & (n > 0)
            due = due & (tl.load(spike_times + slot, due, 0.0) == when)
            j = tl.load(spike_currents + slot, due, 0.0)
            e = tl.load(g_times + slot, due, 0.0) - gu * (j - reset) / tau_mem
            rise = tl.maximum(j - threshold, LEAST * threshold) / tau_mem
            before = tl.where(due, kick - e / rise, gu)
            sum_mem += tl.where(due, reset * mu, 0.0)
            sum_reset += tl.where(due, gu, 0.0)
            sum_threshold -= tl.where(due, before, 0.0)
            mu = tl.where(due, 0.0, mu)
            gu = before
            n -= due.to(tl.int32)
        else:
            w = tl.load(weight + row.to(tl.int64) * neurons + neuron, inside, 0.0)
            moved = total(tl.where(inside, w * (gj / tau_syn - gu / tau_mem), 0.0), 0)
            tl.store(g_weight + entry * neurons + neuron, gj, inside)
            tl.store(g_arrival + entry, moved)
            sum_mem += w * mj
            sum_syn += w * sj
            if row >= external:
                source = tl.load(sources + row - external)
                number = tl.load(log_numbers + entry)
                place = g_times + (sample * slots + number) * neurons + source
                sent = tl.load(place)
                tl.debug_barrier()
                tl.store(place, sent + moved)
            tl.debug_barrier()
    tl.store(g_tau_mem + lane, sum_mem, inside)
    tl.store(g_tau_syn + lane, sum_syn, inside)
    tl.store(g_threshold + lane, sum_threshold, inside)
    tl.store(g_reset + lane, sum_reset, inside)
