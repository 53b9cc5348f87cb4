"""How the decays of one neuron depend on its time constants."""

import math

import numba
import numpy as np

from spikewright.events.exact.sources.cell import PLAIN

SERIES_BELOW = 0.5
FACTORS = np.array([1 / (math.factorial(n) * (n + 2)) for n in range(14)])


@numba.njit(**PLAIN)
def _moment(z, decay, other):
    """``decay`` times the integral over y from 0 to 1 of y e^(z y), where other = decay e^z."""
    if abs(z) > SERIES_BELOW:
        return (decay + (z - 1) * other) / (z * z)
    total = 0.0
    for n in range(len(FACTORS) - 1, -1, -1):
        total = total * z + FACTORS[n]
    return decay * total


@numba.njit(**PLAIN)
def slopes(s, tau_mem, tau_syn, a, b, k):
    """dk/dtau_mem and dk/dtau_syn after ``s``, free of cancellation where the taus are close.

    k is the convolution of the two decays over tau_mem, and da/dtau_mem that of a with itself over
    tau_mem^2; likewise b.
    """
    z = s / tau_mem - s / tau_syn
    by_mem = s * s * _moment(-z, b, a) / tau_mem**3 - k / tau_mem
    by_syn = s * s * _moment(z, a, b) / (tau_mem * tau_syn * tau_syn)
    return by_mem, by_syn
