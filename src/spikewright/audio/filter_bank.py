"""A bank of band-pass filters of second order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import ParameterError

MOST = 64
"""Filters of a bank: the rows of the compiled loop are that long."""


@dataclass(frozen=True)
class FilterBank:
    """Butterworth band-pass filters of second order, by the bilinear transform.

    Of an analogue filter B s / (s^2 + B s + P) with edges f_low and f_high, where the gain is
    1/sqrt(2): f_low f_high = f^2 and f_high - f_low = f / Q. Both edges are kept exactly:
    B = tan(pi f_high dt) - tan(pi f_low dt), P = tan(pi f_high dt) tan(pi f_low dt).

    Args:
        rate: sampling rate, Hz.
        centres: f of each filter, Hz.
        qualities: Q of each filter.

    Raises:
        ParameterError: too many filters, or one that does not lie between 0 and half the rate.

    >>> bank = FilterBank(8000.0, (440.0, 1000.0), (4.0, 4.0))
    >>> np.abs(bank.response(np.array([1000.0]))).round(3).tolist()
    [[0.13], [1.0]]
    """

    rate: float
    centres: tuple[float, ...]
    qualities: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.centres) == len(self.qualities) <= MOST:
            raise ParameterError(
                f"FilterBank: centres and qualities must be as many, 1 to {MOST}, got "
                f"{len(self.centres)} and {len(self.qualities)}. Name each filter's both."
            )
        for centre, quality in zip(self.centres, self.qualities, strict=True):
            if not (centre > 0 and quality > 0 and band(centre, quality)[1] < self.rate / 2):
                raise ParameterError(
                    f"FilterBank: each filter must lie between 0 and {self.rate / 2:g} Hz, half "
                    f"the rate, got a centre of {centre:g} Hz and Q of {quality:g}. "
                    "Leave it out, or resample."
                )

    def coefficients(self) -> NDArray[np.float64]:
        """b0, a1 and a2 of each filter, (3, filters); b1 = 0, b2 = -b0 and a0 = 1."""
        edges = [band(f, q) for f, q in zip(self.centres, self.qualities, strict=True)]
        low, high = np.tan(np.pi / self.rate * np.array(edges)).T
        width, product = high - low, high * low
        return np.stack([width, 2 * (product - 1), 1 - width + product]) / (1 + width + product)

    def response(self, frequency: NDArray[np.float64]) -> NDArray[np.complex128]:
        """What each filter makes of tones of these frequencies, Hz: (filters, frequencies)."""
        b0, a1, a2 = self.coefficients()[:, :, None]
        z = np.exp(-2j * np.pi / self.rate * frequency)
        return b0 * (1 - z**2) / (1 + a1 * z + a2 * z**2)


def band(centre: float, quality: float) -> tuple[float, float]:
    """The edges of a filter, Hz.

    >>> low, high = band(100.0, 4.0)
    >>> round(high - low, 9), round(low * high, 6)
    (25.0, 10000.0)
    """
    half = 0.5 / quality
    middle = math.sqrt(1.0 + half * half)
    return centre * (middle - half), centre * (middle + half)
