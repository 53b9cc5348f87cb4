"""Adaptive exponential integrate-and-fire (Brette and Gerstner, J. Neurophysiology 94, 2005)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from reference.threshold import Threshold

Trace = NDArray[np.float64]


def adex(
    x: Trace,
    dt: float,
    threshold: Threshold,
    tau_mem: float,
    tau_syn: float,
    tau_adapt: float,
    v_leak: float,
    v_exponential: float,
    slope: float,
    a: float,
    b: float,
    r: float,
    leak: bool = True,
    exponential: bool = True,
) -> dict[str, Trace]:
    """Over a step the exponential term and w drive as constant currents, and v drives w.

    The linear rest, membrane and synaptic current with a constant, goes through its matrix
    exponential.
    """
    rates = np.array(
        [[-leak / tau_mem, r / tau_mem, 1 / tau_mem], [0.0, -1 / tau_syn, 0.0], [0.0, 0.0, 0.0]]
    )
    flow = expm(rates * dt)
    adapting = expm(np.array([[-1 / tau_adapt, a / tau_adapt], [0.0, 0.0]]) * dt)
    spikes, v, i, w = (np.zeros(x.shape) for _ in range(4))
    for n in range(x.shape[1]):
        u, current, adaptation = 0.0, 0.0, 0.0  # u = v - v_leak
        for t in range(x.shape[0]):
            upswing = slope * np.exp((u + v_leak - v_exponential) / slope) if exponential else 0.0
            held = upswing - adaptation
            adaptation = (adapting @ np.array([adaptation, u]))[0]
            u, current, _ = flow @ np.array([u, current + x[t, n], held])
            spikes[t, n], after = threshold.cross(u + v_leak)
            u = after - v_leak
            adaptation += b * spikes[t, n]
            v[t, n], i[t, n], w[t, n] = after, current, adaptation
    return {"spikes": spikes, "v": v, "i": i, "w": w}
