"""Leaky integrate-and-fire with input that is constant during a step (Gerstner et al., 2014).

euler: one step of Euler's method instead of the solution.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.threshold import Threshold

Trace = NDArray[np.float64]


def lif(
    x: Trace,
    dt: float,
    threshold: Threshold,
    tau_mem: float,
    v_leak: float,
    r: float,
    refractory: int = 0,
    order: str = "exact",
) -> dict[str, Trace]:
    """``v(t + dt) = v_inf + (v(t) - v_inf) exp(-dt / tau)`` with ``v_inf = v_leak + r x``.

    After a spike the membrane is held for ``refractory`` steps, without spikes.
    """
    spikes, v = np.zeros(x.shape), np.zeros(x.shape)
    for n in range(x.shape[1]):
        membrane, waiting = v_leak, 0
        for t in range(x.shape[0]):
            if waiting:
                waiting -= 1
            else:
                settled = v_leak + r * x[t, n]
                if order == "euler":
                    membrane = membrane + dt / tau_mem * (settled - membrane)
                else:
                    membrane = settled + (membrane - settled) * np.exp(-dt / tau_mem)
                spikes[t, n], membrane = threshold.cross(membrane)
                waiting = refractory if spikes[t, n] else 0
            v[t, n] = membrane
    return {"spikes": spikes, "v": v}
