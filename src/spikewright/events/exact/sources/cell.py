"""The motion of one neuron between arrivals: decays, and where u rises to the threshold."""

import math

import numba

from spikewright.engine.cpu.vectorise import NoAlias

_ALL = {"nogil": True, "boundscheck": False, "error_model": "numpy", "pipeline_class": NoAlias}
OPTIONS = {**_ALL, "cache": True}
# What a kernel calls makes no arrays and need not count references, which would take longer than
# its work.
PLAIN = {**_ALL, "_nrt": False}
FREE = {**PLAIN, "fastmath": {"contract", "reassoc"}}
NEVER = math.inf
SERIES_BELOW = 0.1
STEPS = 100
EPSILON = 2.220446049250313e-16


@numba.njit(**PLAIN)
def copy(values, to):
    """Numba's own check of shapes takes two seconds to compile."""
    for n in range(len(values)):
        to[n] = values[n]


@numba.njit(**PLAIN)
def decays(s, tau_mem, tau_syn):
    """a, b and k after ``s``; k without cancellation where the taus, or s, are close."""
    a = math.exp(-s / tau_mem)
    z = s / tau_mem - s / tau_syn
    if abs(z) < SERIES_BELOW:
        # expm1(z) / z, to the last bit
        ratio = 1 / 40320 + z * (1 / 362880 + z * (1 / 3628800))
        ratio = 1 / 120 + z * (1 / 720 + z * (1 / 5040 + z * ratio))
        ratio = 1 + z * (1 / 2 + z * (1 / 6 + z * (1 / 24 + z * ratio)))
        gain = s / tau_mem * a
        return a, a * (1 + z * ratio), gain * ratio
    b = math.exp(-s / tau_syn)
    return a, b, tau_syn / (tau_mem - tau_syn) * (a - b)


@numba.njit(**PLAIN)
def crossing(u, j, after, end, threshold, tau_mem, tau_syn):
    """The time from now, up to ``end``, when u first rises to the threshold; NEVER if not.

    ``after`` is u at the end. u has one extremum at most. So if it is above the threshold at the
    end there is one crossing, and if not there is one only left of a peak.
    """
    if u >= threshold:
        return 0.0
    # Above u, a rise needs j > u; at the threshold it needs j > threshold, and j only decays.
    if not j > threshold:
        return NEVER
    if not after >= threshold:
        peak = peak_time(u, j, tau_mem, tau_syn)
        # There u = j.
        if not (0 < peak < end and j * math.exp(-peak / tau_syn) > threshold):
            return NEVER
        end = peak
    if tau_mem == 2 * tau_syn:
        s = _quadratic(u, j, threshold, tau_mem)
    elif tau_mem == tau_syn:
        s = _lambert(u, j, threshold, tau_mem)
    else:
        return _newton(u, j, end, threshold, tau_mem, tau_syn)
    return min(max(s, 0.0), end) if s == s else end


@numba.njit(**PLAIN)
def peak_time(u, j, tau_mem, tau_syn):
    """When u' = 0; NaN where it never is."""
    difference = tau_mem - tau_syn
    if difference == 0:
        return tau_mem * (j - u) / j
    share = difference * (j - u) / (j * tau_syn + u * difference)
    return math.log1p(share) * tau_mem * tau_syn / difference if share > -1 else math.nan


@numba.njit(**PLAIN)
def _quadratic(u, j, threshold, tau_mem):
    """With y = e^(-s/tau_mem), j y^2 - (u + j) y + threshold = 0: the first is the largest y."""
    half = 0.5 * (u + j)
    square = half * half - j * threshold
    return -tau_mem * math.log((half + math.sqrt(max(square, 0.0))) / j)


@numba.njit(**PLAIN)
def _lambert(u, j, threshold, tau):
    """(u + j x) e^(-x) = threshold at x = s / tau: x + u / j = -W0(-threshold / j e^(-u/j))."""
    return tau * (-_principal(-threshold / j * math.exp(-u / j)) - u / j)


@numba.njit(**PLAIN)
def _principal(x):
    """W0(x) from -1 / e to 0, the w from -1 to 0 with w e^w = x, by Halley's iteration."""
    p = math.sqrt(max(2 * (math.e * x + 1), 0.0))
    w = -1 + p * (1 + p * (-1 / 3 + p * (11 / 72 - p * 43 / 540)))
    for _ in range(STEPS):
        e = math.exp(w)
        f = w * e - x
        slope = e * (w + 1)
        if slope <= 0:
            break
        step = f / (slope - 0.5 * (w + 2) * f / (w + 1))
        w -= step
        # The error of the next is the cube of this step.
        if abs(step) <= 1e-6 * (1 + w):
            break
    return w


@numba.njit(**PLAIN)
def _newton(u, j, end, threshold, tau_mem, tau_syn):
    """Newton's iteration with parabolas for tangents, in a bracket that is halved if they leave it.

    Where u does not meet its parabola's height any more, the straight tangent serves.
    """
    left, right, s, value, current = 0.0, end, 0.0, u, j
    shortest = min(tau_mem, tau_syn)
    for _ in range(STEPS):
        slope = (current - value) / tau_mem
        bend = -(current / tau_syn + slope) / tau_mem
        square = slope * slope + 2 * bend * (threshold - value)
        root = math.sqrt(square) if square > 0 else slope
        step = 2 * (threshold - value) / (slope + root)
        if not left <= s + step <= right:
            step = 0.5 * (left + right) - s
        s += step
        # The next term of the series, which the parabola leaves out.
        rest = abs(bend * step * step * step)
        if rest <= EPSILON * shortest * shortest * root or abs(step) <= EPSILON * s:
            break
        a, b, k = decays(s, tau_mem, tau_syn)
        value, current = a * u + k * j, b * j
        if value < threshold:
            left = s
        else:
            right = s
    return s
