"""A membrane driven by several synaptic currents, solved by the matrix exponential."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from reference.threshold import Threshold

Trace = NDArray[np.float64]


def multi_synapse_lif(
    x: Trace,
    dt: float,
    threshold: Threshold,
    tau_mem: float,
    tau_syn: Sequence[float],
    v_leak: float,
    r: float,
) -> dict[str, Trace]:
    """``x`` is (time, neurons, synapses)."""
    k = len(tau_syn)
    rates = np.diag([-1 / tau_mem, *(-1 / tau for tau in tau_syn)])
    rates[0, 1:] = r / tau_mem
    flow = expm(rates * dt)
    spikes, v, i = np.zeros(x.shape[:2]), np.zeros(x.shape[:2]), np.zeros(x.shape)
    for n in range(x.shape[1]):
        u = np.zeros(k + 1)
        for t in range(x.shape[0]):
            u[1:] += x[t, n]
            u = flow @ u
            spikes[t, n], after = threshold.cross(u[0] + v_leak)
            u[0] = after - v_leak
            v[t, n], i[t, n] = after, u[1:]
    return {"spikes": spikes, "v": v, "i": i}
