"""Leaky integrate-and-fire whose threshold rises with each spike (Bellec et al., NeurIPS 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.threshold import Threshold

Trace = NDArray[np.float64]


def adaptive_lif(
    x: Trace,
    dt: float,
    threshold: Threshold,
    tau_mem: float,
    tau_adapt: float,
    beta: float,
    v_leak: float,
    r: float,
) -> dict[str, Trace]:
    """The threshold is ``v_threshold + beta a``; ``a`` decays with tau_adapt, a spike adds one."""
    spikes, v, a = np.zeros(x.shape), np.zeros(x.shape), np.zeros(x.shape)
    for n in range(x.shape[1]):
        membrane, adaptation = v_leak, 0.0
        for t in range(x.shape[0]):
            settled = v_leak + r * x[t, n]
            membrane = settled + (membrane - settled) * np.exp(-dt / tau_mem)
            spikes[t, n], membrane = threshold.cross(membrane, beta * adaptation)
            adaptation = adaptation * np.exp(-dt / tau_adapt) + spikes[t, n]
            v[t, n], a[t, n] = membrane, adaptation
    return {"spikes": spikes, "v": v, "a": a}
