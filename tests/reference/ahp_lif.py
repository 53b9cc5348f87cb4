"""Leaky integrate-and-fire with an after-hyperpolarising current (Rao et al. 2022)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.threshold import Threshold

Trace = NDArray[np.float64]


def ahp_lif(
    x: Trace,
    dt: float,
    threshold: Threshold,
    tau_mem: float,
    tau_ahp: float,
    beta: float,
    v_leak: float,
    r: float,
) -> dict[str, Trace]:
    """A current beside the input's decays with tau_ahp; a spike takes beta off it."""
    spikes, v, current = np.zeros(x.shape), np.zeros(x.shape), np.zeros(x.shape)
    for n in range(x.shape[1]):
        membrane, inhibition = v_leak, 0.0
        for t in range(x.shape[0]):
            settled = v_leak + r * (x[t, n] + inhibition)
            membrane = settled + (membrane - settled) * np.exp(-dt / tau_mem)
            spikes[t, n], membrane = threshold.cross(membrane)
            inhibition = inhibition * np.exp(-dt / tau_ahp) - beta * spikes[t, n]
            v[t, n], current[t, n] = membrane, inhibition
    return {"spikes": spikes, "v": v, "i_ahp": current}
