# ruff: noqa: F821
"""Neurons without a threshold: their state just after each arrival, and its adjoint.

A program takes some neurons of one sample, a thread each. No two write to the same place.
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["neurons", "blocks"])
def forward(
    times, rows, weight, offsets, taus_mem, taus_syn, us, js, neurons, blocks, LANES: tl.constexpr
):
    """u and j just after each arrival, (arrivals, neurons)."""
    sample, neuron, inside = place(blocks, neurons, LANES)
    tau_mem = tl.load(taus_mem + neuron, inside, 1.0)
    tau_syn = tl.load(taus_syn + neuron, inside, 1.0)
    u = tl.full([LANES], 0, tl.float64)
    j = tl.full([LANES], 0, tl.float64)
    t = tl.full([LANES], 0, tl.float64)
    for k in range(tl.load(offsets + sample), tl.load(offsets + sample + 1)):
        now = tl.full([LANES], 0, tl.float64) + tl.load(times + k)
        a, b, gain = flow(now - t, tau_mem, tau_syn)
        u = u * a + j * gain
        j = j * b + tl.load(weight + tl.load(rows + k) * neurons + neuron, inside, 0.0)
        t = now
        tl.store(us + k * neurons + neuron, u, inside)
        tl.store(js + k * neurons + neuron, j, inside)


@triton.jit(do_not_specialize=["neurons", "blocks"])
def backward(
    times, rows, weight, offsets, taus_mem, taus_syn, g_us, g_js,
    g_weight, g_arrival, g_tau_mem, g_tau_syn, neurons, blocks, LANES: tl.constexpr,
):  # fmt: skip
    """Gradients as in ``fire``, of a function of u and j where they are looked at at fixed times.

    What is given for the state after an arrival is the gradient of all that follows from it until
    the next one.
    """
    sample, neuron, inside = place(blocks, neurons, LANES)
    lane = sample * neurons + neuron
    tau_mem = tl.load(taus_mem + neuron, inside, 1.0)
    tau_syn = tl.load(taus_syn + neuron, inside, 1.0)
    gu = tl.full([LANES], 0, tl.float64)
    gj = tl.full([LANES], 0, tl.float64)
    mu = tl.full([LANES], 0, tl.float64)
    mj = tl.full([LANES], 0, tl.float64)
    sj = tl.full([LANES], 0, tl.float64)
    sum_mem = tl.full([LANES], 0, tl.float64)
    sum_syn = tl.full([LANES], 0, tl.float64)
    first = tl.load(offsets + sample)
    end = tl.load(offsets + sample + 1)
    t = tl.full([LANES], 0, tl.float64) + tl.load(times + end - 1, end > first, 0.0)
    for step in range(end - first):
        k = end - 1 - step
        now = tl.full([LANES], 0, tl.float64) + tl.load(times + k)
        a, b, gain = flow(t - now, tau_mem, tau_syn)
        mem_a, mem_k, syn_b, syn_k = flow_slopes(t - now, a, b, gain, tau_mem, tau_syn)
        mj = mj * b + mu * gain + gu * mem_k
        mu = mu * a + gu * mem_a
        sj = sj * b + gj * syn_b + gu * syn_k
        here = k * neurons + neuron
        gj = gj * b + gu * gain + tl.load(g_js + here, inside, 0.0)
        gu = gu * a + tl.load(g_us + here, inside, 0.0)
        t = now
        w = tl.load(weight + tl.load(rows + k) * neurons + neuron, inside, 0.0)
        tl.store(g_weight + here, gj, inside)
        tl.store(g_arrival + here, w * (gj / tau_syn - gu / tau_mem), inside)
        sum_mem += w * mj
        sum_syn += w * sj
    tl.store(g_tau_mem + lane, sum_mem, inside)
    tl.store(g_tau_syn + lane, sum_syn, inside)
