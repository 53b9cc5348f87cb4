# ruff: noqa: F821
"""Gradients backward through a neuron's trial, for all kernels here.

``gu = dL/du`` and ``gj = dL/dj``. The gradient of a tau is the sum over all arrivals and spikes of
what each brings into the trial, its weight into j and the reset into u, times what a unit of that
yields later: ``mu`` and ``mj`` for tau_mem, ``sj`` for tau_syn. So no state need be kept or worked
out again. Both are followed only for ``CELLS``, if parameters of neurons want gradients.
"""

import triton
import triton.language as tl


@triton.jit
def earlier(h, gu, gj, mu, mj, sj, tau_mem, tau_syn, CELLS: tl.constexpr):
    """The five gradients h seconds earlier, with no event in between."""
    a, b, k = flow(h, tau_mem, tau_syn)
    if CELLS:
        mem_a, mem_k, syn_b, syn_k = flow_slopes(h, a, b, k, tau_mem, tau_syn)
        mj = mj * b + mu * k + gu * mem_k
        mu = mu * a + gu * mem_a
        sj = sj * b + gj * syn_b + gu * syn_k
    return gu * a, gj * b + gu * k, mu, mj, sj


@triton.jit
def before_spike(
    due, j, g_time, kick, gu, mu, sum_mem, sum_threshold, sum_reset, tau_mem, threshold, reset,
    LEAST: tl.constexpr, CELLS: tl.constexpr,
):  # fmt: skip
    """gu, mu and the sums for parameters just before a spike, where one is ``due``."""
    e = g_time - gu * (j - reset) / tau_mem
    rise = tl.maximum(j - threshold, LEAST * threshold) / tau_mem
    before = tl.where(due, kick - e / rise, gu)
    if CELLS:
        sum_mem += tl.where(due, reset * mu, 0.0)
        sum_reset += tl.where(due, gu, 0.0)
        sum_threshold -= tl.where(due, before, 0.0)
        mu = tl.where(due, 0.0, mu)
    return before, mu, sum_mem, sum_threshold, sum_reset
