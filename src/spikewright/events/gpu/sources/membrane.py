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
    """Gradients of a function of u and j where they are looked at at fixed times.

    What is given for the state after an arrival is the gradient of all that follows from it until
    the next one.
    """
    sample, neuron, inside = place(blocks, neurons, LANES)
    lane = sample * neurons + neuron
    tau_mem = tl.load(taus_mem + neuron, inside, 1.0)
    tau_syn = tl.load(taus_syn + neuron, inside, 1.0)
    nothing = tl.full([LANES], 0, tl.float64)
    gu, gj, mu, mj, sj = nothing, nothing, nothing, nothing, nothing
    sum_mem, sum_syn = nothing, nothing
    first = tl.load(offsets + sample)
    end = tl.load(offsets + sample + 1)
    t = nothing + tl.load(times + end - 1, end > first, 0.0)
    for step in range(end - first):
        k = end - 1 - step
        now = nothing + tl.load(times + k)
        gu, gj, mu, mj, sj = earlier(t - now, gu, gj, mu, mj, sj, tau_mem, tau_syn, True)
        here = k * neurons + neuron
        gj += tl.load(g_js + here, inside, 0.0)
        gu += tl.load(g_us + here, inside, 0.0)
        t = now
        w = tl.load(weight + tl.load(rows + k) * neurons + neuron, inside, 0.0)
        tl.store(g_weight + here, gj, inside)
        tl.store(g_arrival + here, w * (gj / tau_syn - gu / tau_mem), inside)
        sum_mem += w * mj
        sum_syn += w * sj
    tl.store(g_tau_mem + lane, sum_mem, inside)
    tl.store(g_tau_syn + lane, sum_syn, inside)
