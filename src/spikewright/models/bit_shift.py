"""Time constants that a chip reaches by shifting bits: ``x <- x - (x >> dash)`` each step."""

from __future__ import annotations

import math

from spikewright.errors import ParameterError
from spikewright.units import check_dt

_SHORTEST = 1
"""A shift by no bits would leave nothing."""


def bit_shift(tau: float, dt: float) -> int:
    """The number of bits, called dash, whose shift decays most nearly like ``tau``.

    dash = max(1, round(-log2(1 - exp(-dt / tau))))

    Args:
        tau: time constant, s.
        dt: time step, s.

    Raises:
        ParameterError: a time is not positive and finite.

    >>> bit_shift(16e-3, 1e-3), bit_shift(0.5e-3, 1e-3)
    (4, 1)
    """
    check_dt("models.bit_shift", dt)
    if not 0 < tau < math.inf:
        raise ParameterError(
            f"models.bit_shift: tau must be a positive, finite time, got {tau!r} s. "
            "Pass for example tau=20e-3."
        )
    return max(_SHORTEST, round(-math.log2(-math.expm1(-dt / tau))))


def bit_shift_tau(tau: float, dt: float) -> float:
    """The time constant nearest to ``tau`` that a shift by whole bits has, s.

    tau' = -dt / log(1 - 2^-dash), dash as in `bit_shift`; arguments and errors likewise.

    >>> round(bit_shift_tau(20e-3, 1e-3), 5)
    0.01549
    """
    return -dt / math.log1p(-(2.0 ** -bit_shift(tau, dt)))
