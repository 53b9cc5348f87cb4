"""Places of a quadrature over the trial, dense enough for what happens between arrivals.

Between two arrivals everything is smooth, with time scales no shorter than 1 / rate. A panel of
length h gets as many Gauss-Legendre nodes as keep the error bound, c_n (rate h)^(2 n), below 1e-10;
one with rate h > `LONGEST` is cut into equal ones.
"""

import math

import numba
import numpy as np

from spikewright.engine.cpu.vectorise import NoAlias

PLAIN = {"nogil": True, "boundscheck": False, "error_model": "numpy", "pipeline_class": NoAlias}
OPTIONS = {**PLAIN, "cache": True}
FEWEST, MOST = 2, 6


def _reach(n):
    """The largest rate h for which n nodes are enough."""
    bound = math.factorial(n) ** 4 / ((2 * n + 1) * math.factorial(2 * n) ** 3)
    return (1e-10 / bound) ** (1 / (2 * n))


REACH = np.array([_reach(n) for n in range(FEWEST, MOST + 1)])
LONGEST = REACH[-1]
_RULES = [np.polynomial.legendre.leggauss(n) for n in range(FEWEST, MOST + 1)]
PLACES = np.array([np.pad((1 + x) / 2, (0, MOST - len(x))) for x, _ in _RULES])
WEIGHTS = np.array([np.pad(w / 2, (0, MOST - len(w))) for _, w in _RULES])


@numba.njit(**PLAIN)
def _cut(length, rate):
    """How many panels, and which rule for each."""
    panels = math.ceil(length * rate / LONGEST)
    rule = 0
    while rule < MOST - FEWEST and length * rate > REACH[rule] * panels:
        rule += 1
    return panels, rule


@numba.njit("void(i8, i8, f8[::1], i8[::1], f8, f8, i8[::1])", **OPTIONS)
def count_nodes(first, last, times, offsets, duration, rate, counts):
    """The number of nodes of some samples."""
    for sample in range(first, last):
        total, left, k, stop = 0, 0.0, offsets[sample], offsets[sample + 1]
        while left < duration:
            while k < stop and times[k] <= left:
                k += 1
            right = min(times[k], duration) if k < stop else duration
            panels, rule = _cut(right - left, rate)
            total += panels * (rule + FEWEST)
            left = right
        counts[sample] = total


@numba.njit("void(i8, i8, f8[::1], i8[::1], f8, f8, i8[::1], f8[::1], f8[::1])", **OPTIONS)
def place_nodes(first, last, times, offsets, duration, rate, starts, places, weights):
    """The times and weights of the nodes of some samples, in order of time."""
    for sample in range(first, last):
        node, left, k, stop = starts[sample], 0.0, offsets[sample], offsets[sample + 1]
        while left < duration:
            while k < stop and times[k] <= left:
                k += 1
            right = min(times[k], duration) if k < stop else duration
            panels, rule = _cut(right - left, rate)
            width = (right - left) / panels
            for panel in range(panels):
                for i in range(rule + FEWEST):
                    places[node] = left + (panel + PLACES[rule, i]) * width
                    weights[node] = width * WEIGHTS[rule, i]
                    node += 1
            left = right
