"""Integrate-and-fire: the membrane is the sum of its input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.threshold import Threshold

Trace = NDArray[np.float64]


def integrate_and_fire(x: Trace, dt: float, threshold: Threshold, r: float) -> dict[str, Trace]:
    """``v[t] = v[t-1] + r x[t]``, then the threshold."""
    spikes, v = np.zeros(x.shape), np.zeros(x.shape)
    for n in range(x.shape[1]):
        membrane = 0.0
        for t in range(x.shape[0]):
            spikes[t, n], membrane = threshold.cross(membrane + r * x[t, n])
            v[t, n] = membrane
    return {"spikes": spikes, "v": v}
