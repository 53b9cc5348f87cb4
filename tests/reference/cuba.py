"""Current-based neurons in three orders of update.

exact: the linear differential equation solved over a step by its matrix exponential.
held:  hxtorch.snn (arXiv 2212.12210): the membrane sees the current of the step before.
euler: the EventProp models of the same library, i(1 - dt/tau_s) + x, then v + dt/tau_m (...).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from reference.threshold import Threshold

Trace = NDArray[np.float64]


def cuba(
    x: Trace,
    dt: float,
    threshold: Threshold | None,
    tau_mem: float,
    tau_syn: float,
    v_leak: float,
    r: float,
    order: str,
) -> dict[str, Trace]:
    """A membrane driven by a synaptic current; without a threshold, a readout."""
    rates = np.array([[-1 / tau_mem, r / tau_mem], [0.0, -1 / tau_syn]])
    flow = expm(rates * dt)
    spikes, v, i = np.zeros(x.shape), np.zeros(x.shape), np.zeros(x.shape)
    for n in range(x.shape[1]):
        u, current = 0.0, 0.0  # u = v - v_leak
        for t in range(x.shape[0]):
            if order == "exact":
                u, current = flow @ np.array([u, current + x[t, n]])
            elif order == "held":
                decay = np.exp(-dt / tau_mem)
                u = decay * u + (1 - decay) * r * current
                current = np.exp(-dt / tau_syn) * current + x[t, n]
            else:
                current = current * (1 - dt / tau_syn) + x[t, n]
                u = u + dt / tau_mem * (r * current - u)
            if threshold is not None:
                spikes[t, n], after = threshold.cross(u + v_leak)
                u = after - v_leak
            v[t, n], i[t, n] = u + v_leak, current
    return {"spikes": spikes if threshold is not None else v, "v": v, "i": i}
