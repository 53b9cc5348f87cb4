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


@triton.jit
def next_arrival(
    times, rows, k, end, spike_times, counts, delivered, sources, delays, sample, neurons, external,
    slots, links, LANES: tl.constexpr,
):  # fmt: skip
    """Time and row of the earliest arrival, whether it comes back, and through which link."""
    outer = tl.load(times + k, k < end, float("inf"))
    fed, link = next_fed(
        spike_times, counts, delivered, sources, delays, sample, neurons, slots, links, LANES
    )
    row = tl.where(fed < outer, external + link, tl.load(rows + k, k < end, 0))
    return tl.minimum(outer, fed), row, fed < outer, link


@triton.jit
def take(delivered, there):
    """How many spikes a link has delivered, one more from now on if it is ``there``."""
    number = tl.load(delivered, there, 0)
    tl.debug_barrier()
    tl.store(delivered, number + 1, there)
    return number


@triton.jit
def log(log_times, log_rows, log_numbers, sample, room, written, t, row, number, happened):
    """Write an entry, if it ``happened`` and finds room."""
    entry = sample * room + written
    tl.store(log_times + entry, t, happened & (written < room))
    tl.store(log_rows + entry, row, happened & (written < room))
    tl.store(log_numbers + entry, number, happened & (written < room))


@triton.jit
def fire_first(
    t, u, j, n, halted, found, limit, right, most, tau_mem, tau_syn, threshold, reset,
    KIND: tl.constexpr,
):  # fmt: skip
    """t, u and j at the first of the crossings ``found``, who is halted then and who fires."""
    s = rise_time(u, j, found, limit, tau_mem, tau_syn, threshold, KIND)
    wait = 0 - greatest(tl.where(found, 0 - s, float("-inf")), 0)
    found = found & (s == wait)
    a, b, gain = flow(wait + tl.full(u.shape, 0, tl.float64), tau_mem, tau_syn)
    halted = tl.where(found & (n >= most), 1, halted)
    fires = found & (n < most)
    u = tl.where(fires, reset, u * a + j * gain)
    return tl.minimum(t + wait, right), u, j * b, halted, fires


@triton.jit(do_not_specialize=["neurons", "links", "external", "slots", "room", "most"])
def forward(
    times, rows, weight, offsets, sources, delays, taus_mem, taus_syn, thresholds, resets, duration,
    spike_times, spike_currents, counts, delivered, log_times, log_rows, log_numbers, lengths, full,
    stopped, last, neurons, links, external, slots, room, most,
    KIND: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Spikes into ``slots`` places a neuron, events into ``room`` of a sample; ``full`` if not."""
    sample, neuron, inside = place(1, neurons, LANES)
    lane = sample * neurons + neuron
    tau_mem, tau_syn, threshold, reset = load_cells(
        taus_mem, taus_syn, thresholds, resets, neuron, inside
    )
    close = tl.load(duration)
    k = tl.load(offsets + sample)
    end = tl.load(offsets + sample + 1)
    t = tl.full([], 0, tl.float64)
    nothing = tl.full([LANES], 0, tl.float64)
    u, j = nothing, nothing
    n = tl.full([LANES], 0, tl.int32)
    halted = tl.full([LANES], 0, tl.int32)
    written = tl.full([], 0, tl.int64)
    lost = tl.full([], 0, tl.int32)
    going = tl.full([], 1, tl.int32)
    while going > 0:
        soonest, row, back, link = next_arrival(
            times, rows, k, end, spike_times, counts, delivered, sources, delays, sample, neurons,
            external, slots, links, LANES,
        )  # fmt: skip
        right = tl.minimum(soonest, close)
        later, fallen, found, limit = look_ahead(u, j, right - t, tau_mem, tau_syn, threshold)
        found = found & inside & (halted == 0)
        if total(found.to(tl.int32), 0) > 0:
            t, u, j, halted, fires = fire_first(
                t, u, j, n, halted, found, limit, right, most, tau_mem, tau_syn, threshold, reset,
                KIND,
            )  # fmt: skip
            slot = (sample * slots + n) * neurons + neuron
            tl.store(spike_times + slot, t + nothing, fires & (n < slots))
            tl.store(spike_currents + slot, j, fires & (n < slots))
            n += fires.to(tl.int32)
            tl.store(counts + lane, n, inside)
            lost = total((n > slots).to(tl.int32), 0)
            # A moment that only halts neurons leaves no entry.
            happened = total(fires.to(tl.int32), 0) > 0
            log(log_times, log_rows, log_numbers, sample, room, written, t, -1, 0, happened)
        else:
            t, u, j = right, later, fallen
            happened = soonest <= close
            going = happened.to(tl.int32)
            if happened:
                j += tl.load(weight + row * neurons + neuron, inside, 0.0)
                number = take(delivered + sample * links + link, back)
                log(log_times, log_rows, log_numbers, sample, room, written, t, row, number, True)
                k = tl.where(back, k, k + 1)
        written += happened.to(tl.int64)
        going = tl.where((lost > 0) | (written > room), 0, going)
        tl.debug_barrier()
    tl.store(lengths + sample, written)
    tl.store(full + sample, ((lost > 0) | (written > room)).to(tl.int32))
    tl.store(stopped + lane, halted, inside)
    tl.store(last + lane, u, inside)


@triton.jit(do_not_specialize=["neurons", "external", "slots", "room"])
def backward(
    weight, sources, taus_mem, taus_syn, thresholds, resets, duration,
    spike_times, spike_currents, counts, log_times, log_rows, log_numbers, lengths,
    g_times, g_counts, g_last, g_weight, g_arrival, g_tau_mem, g_tau_syn, g_threshold, g_reset,
    neurons, external, slots, room, LEAST: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Gradients; that of a fed-back arrival is added to ``g_times`` of its spike."""
    sample, neuron, inside = place(1, neurons, LANES)
    lane = sample * neurons + neuron
    tau_mem, tau_syn, threshold, reset = load_cells(
        taus_mem, taus_syn, thresholds, resets, neuron, inside
    )
    kick = tl.load(g_counts + lane, inside, 0.0) / threshold
    gu = tl.load(g_last + lane, inside, 0.0)
    n = tl.load(counts + lane, inside, 0)
    t = tl.load(duration)
    nothing = tl.full([LANES], 0, tl.float64)
    gj, mu, mj, sj = nothing, nothing, nothing, nothing
    sum_mem, sum_syn, sum_threshold, sum_reset = nothing, nothing, nothing, nothing
    length = tl.load(lengths + sample)
    for step in range(length):
        entry = sample * room + length - 1 - step
        when = tl.load(log_times + entry)
        row = tl.load(log_rows + entry)
        h = t - when + nothing
        gu, gj, mu, mj, sj = earlier(h, gu, gj, mu, mj, sj, tau_mem, tau_syn, True)
        t = when
        if row < 0:
            slot = (sample * slots + n - 1) * neurons + neuron
            due = inside & (n > 0)
            due = due & (tl.load(spike_times + slot, due, 0.0) == when)
            j = tl.load(spike_currents + slot, due, 0.0)
            g_time = tl.load(g_times + slot, due, 0.0)
            gu, mu, sum_mem, sum_threshold, sum_reset = before_spike(
                due, j, g_time, kick, gu, mu, sum_mem, sum_threshold, sum_reset,
                tau_mem, threshold, reset, LEAST, True,
            )  # fmt: skip
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
                there = g_times + (sample * slots + number) * neurons + source
                sent = tl.load(there)
                tl.debug_barrier()
                tl.store(there, sent + moved)
            tl.debug_barrier()
    tl.store(g_tau_mem + lane, sum_mem, inside)
    tl.store(g_tau_syn + lane, sum_syn, inside)
    tl.store(g_threshold + lane, sum_threshold, inside)
    tl.store(g_reset + lane, sum_reset, inside)
