"""From codes tried and what they did to the codes to try next."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spikewright.targets.brainscales2.transfer import TRANSFER, Line, nearest_codes

Floats = NDArray[np.float64]
Codes = NDArray[np.int16]


def next_codes(name: str, codes: Codes, measured: Floats, wanted: Floats) -> Codes:
    """Codes nearer to what is wanted, for circuits whose curves differ from the nominal one.

    Of a potential the nominal curve is taken to be shifted, of others to be stretched; either is
    nearly so, and a second round takes care of the rest. Without a measurement codes stay.
    """
    curve = TRANSFER[name]
    with np.errstate(divide="ignore", invalid="ignore"):
        if isinstance(curve, Line) and curve.offset:
            better = wanted + (curve.value(codes.astype(np.float64)) - measured)
        else:
            better = wanted * (curve.value(codes.astype(np.float64)) / measured)
    return np.where(np.isfinite(better), nearest_codes(name, better), codes).astype(np.int16)


def iterate(
    name: str,
    codes: Codes,
    wanted: Floats,
    measure: Callable[[Codes], Floats],
    rounds: int,
) -> tuple[Codes, Floats]:
    """Measure and correct ``rounds`` times; the last codes and what they do."""
    measured = measure(codes)
    for _ in range(rounds):
        codes = next_codes(name, codes, measured, wanted)
        measured = measure(codes)
    return codes, measured
