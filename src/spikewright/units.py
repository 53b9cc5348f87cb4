"""Names and ranges of the SI units used in the API.

Times are seconds, currents amperes, voltages volts; models of machine learning leave the last
two dimensionless and write 1. No quantity class runs in hot code.
"""

from __future__ import annotations

import math

from spikewright.errors import ParameterError

PREFIXES = (("", 1.0), ("m", 1e-3), ("µ", 1e-6), ("n", 1e-9), ("p", 1e-12))


def format_si(value: float, unit: str, digits: int = 4) -> str:
    """Write a value with the prefix that suits it.

    >>> format_si(2.36e-9, "J", 3), format_si(0.2, "W")
    ('2.36 nJ', '200 mW')
    """
    for prefix, factor in PREFIXES:
        if abs(value) >= factor * 0.9995:
            return f"{value / factor:.{digits}g} {prefix}{unit}"
    return f"{value:.{digits}g} {unit}"


def format_seconds(seconds: float) -> str:
    """Write a time with the prefix that suits it.

    >>> format_seconds(6e-6), format_seconds(0.02), format_seconds(0.0)
    ('6 µs', '20 ms', '0 s')
    """
    return format_si(seconds, "s")


def check_dt(where: str, dt: float) -> float:
    """Return ``dt`` (s) if it is a finite, positive time step, else raise ParameterError."""
    if not (isinstance(dt, int | float) and math.isfinite(dt) and dt > 0):
        raise ParameterError(
            f"{where}: dt must be a positive, finite time in seconds, got {dt!r}. "
            "Pass for example dt=1e-3 for a step of 1 ms."
        )
    return float(dt)
