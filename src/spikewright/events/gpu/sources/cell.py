# ruff: noqa: F821
"""Neurons of a program, each between two events, for all kernels here, in float64.

``libdevice``, ``total`` and ``greatest`` come with a kernel's imports, see `load`.
"""

import triton
import triton.language as tl


@triton.jit
def place(blocks, neurons, LANES: tl.constexpr):
    """The sample of this program, its neurons, and which of them there are."""
    program = tl.program_id(0).to(tl.int64)
    neuron = program % blocks * LANES + tl.arange(0, LANES).to(tl.int64)
    return program // blocks, neuron, neuron < neurons


@triton.jit
def load_cells(taus_mem, taus_syn, thresholds, resets, neuron, inside):
    """The parameters of these neurons."""
    tau_mem = tl.load(taus_mem + neuron, inside, 1.0)
    tau_syn = tl.load(taus_syn + neuron, inside, 1.0)
    threshold = tl.load(thresholds + neuron, inside, 1.0)
    reset = tl.load(resets + neuron, inside, 0.0)
    return tau_mem, tau_syn, threshold, reset


@triton.jit
def flow(h, tau_mem, tau_syn):
    """``a, b, k``: over h seconds u becomes ``u a + j k`` and j becomes ``j b``."""
    a = libdevice.exp(0 - h / tau_mem)
    b = libdevice.exp(0 - h / tau_syn)
    z = tl.abs(h * (tau_mem - tau_syn) / (tau_mem * tau_syn))
    # (1 - exp(-z)) / z has no difference of near numbers, whichever tau is the larger.
    share = tl.where(z > 0, (0 - libdevice.expm1(0 - z)) / z, 1.0)
    return a, b, h / tau_mem * tl.maximum(a, b) * share


@triton.jit
def flow_slopes(h, a, b, k, tau_mem, tau_syn):
    """Derivatives of a and k by tau_mem, then of b and k by tau_syn.

    k is 1 / tau_mem times the integral of ``exp(-(h - s) / tau_mem) exp(-s / tau_syn)`` over s from
    0 to h; ``early`` and ``late`` are that integral with a factor of h - s and of s.
    """
    z = h * (tau_mem - tau_syn) / (tau_mem * tau_syn)
    near = tl.abs(z) < 0.5
    small = tl.where(near, z, 0.0)
    series = (
        tl.full(z.shape, 0.0, tl.float64) + 1 / 15
    )  # sum of (-z)^n / (n! (n + 2)), from its end
    for m in tl.static_range(13):
        series = 1 / (14 - m) - small * series / (13 - m)
    late = h * h * tl.where(near, a * series, (a - b * (1 + z)) / (z * z))
    early = h * k * tau_mem - late
    by_mem = (early / tau_mem - k * tau_mem) / (tau_mem * tau_mem)
    by_syn = late / (tau_mem * tau_syn * tau_syn)
    return a * h / (tau_mem * tau_mem), by_mem, b * h / (tau_syn * tau_syn), by_syn


@triton.jit
def look_ahead(u, j, h, tau_mem, tau_syn, threshold):
    """What h seconds bring: u and j after them, whether u crosses, and how late it can.

    u has at most one extremum, and while it rises to the threshold that is a maximum, where u = j.
    Touching is no crossing; at the end of the h seconds it is one.
    """
    a, b, k = flow(h, tau_mem, tau_syn)
    later = u * a + j * k
    gap = 1 - u / j
    x = (tau_mem - tau_syn) / tau_mem * gap
    peak = tau_syn * gap * tl.where(x == 0, 1.0, (0 - libdevice.log1p(0 - x)) / x)
    peak = tl.where(x < 1, peak, float("inf"))
    inside = j * libdevice.exp(0 - peak / tau_syn) > threshold
    found = (j > u) & (j > threshold) & tl.where(peak <= h, inside, later >= threshold)
    return later, j * b, found, tl.minimum(peak, h)


@triton.jit
def rise_time(u, j, found, most, tau_mem, tau_syn, threshold, KIND: tl.constexpr):
    """The time that u takes to the threshold, ``most`` at most, where it is ``found`` to cross.

    KIND says which tau_mem all neurons have: "double" tau_syn, the "same", or "any".
    """
    missing = threshold - u
    if KIND == "double":  # a quadratic in exp(-s / tau_mem), whose distance from 1 this is
        gap = j - u
        root = tl.sqrt(tl.maximum(gap * gap - 4 * j * missing, 0.0))
        s = (0 - tau_mem) * libdevice.log1p(-2 * missing / (gap + root))
    elif KIND == "same":
        s = tau_mem * (0 - principal((0 - threshold / j) * libdevice.exp(0 - u / j)) - u / j)
    else:
        s = climb(u, j, found, most, tau_mem, tau_syn, threshold)
    return tl.where(found, tl.minimum(tl.maximum(s, 0.0), most), 0.0)


@triton.jit
def principal(x):
    """Lambert's W0 of -1 / e to 0: the w from -1 to 0 with ``w exp(w) = x``, by Halley's steps."""
    p = tl.sqrt(tl.maximum(2 * (2.718281828459045 * x + 1), 0.0))
    w = -1 + p * (1 + p * (p * (0.1527777777777778 - p * 0.0796296296296296) - 0.3333333333333333))
    for _ in tl.static_range(4):
        e = libdevice.exp(w)
        f = w * e - x
        step = f / (e * (w + 1) - 0.5 * (w + 2) * f / (w + 1))
        w = w - tl.where(w > -1, step, 0.0)
    return w


@triton.jit
def climb(u, j, found, most, tau_mem, tau_syn, threshold):
    """Newton's steps from 0: up to the crossing u is concave, so that each falls short of it."""
    s = tl.full(u.shape, 0.0, tl.float64)
    turns = tl.full([], 0, tl.int32)
    going = total(found.to(tl.int32), 0)
    while going > 0:
        a, b, k = flow(s, tau_mem, tau_syn)
        value = u * a + j * k
        step = tl.where(found, (threshold - value) / (j * b - value) * tau_mem, 0.0)
        new = tl.maximum(tl.minimum(s + step, most), 0.0)
        turns += 1
        moved = total((new - s > 1e-15 * new).to(tl.int32), 0)
        going = tl.where(turns < 64, moved, 0)
        s = new
    return s
