"""EventProp on a time grid for one sample, slowly, from the published equations.

    forward, each step:   j = i + x;  u <- a u + k j;  i <- b j;  spike where u > threshold
    between spikes, back: g_j <- b g_j + k g_u;  g_u <- a g_u
    at a spike, back:     g_u <- -(e tau_mem - g_u (s + threshold - reset)) / s + c / threshold
    at an arrival:        dL/dw = g_j;  dL/dt = w dg_j/dt, over the step it comes in

with e the gradient of the spike's time, c that of the number of spikes, and s tau_mem times the
membrane's rise over the step of the spike, per time; in continuous time it is j - threshold. The
time constants act through a, k and b in each step, which needs every u and j: all are kept here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Sample(NamedTuple):
    """Arrivals (step, row of ``weight``); rows of ``fed`` leave neuron ``source`` and take
    ``delay`` steps beyond the next; parameters (neurons,), times in s."""

    arrivals: list[tuple[int, int]]
    weight: Array
    fed: Array
    source: list[int]
    delay: list[int]
    tau_mem: Array
    tau_syn: Array
    threshold: Array
    reset: Array
    steps: int
    dt: float


class Trace(NamedTuple):
    """Membranes before and currents in each step; spikes (step, neuron, s); what they sent
    (step, row, spike); the last membranes."""

    u: Array
    j: Array
    spikes: list[tuple[int, int, float]]
    sent: list[tuple[int, int, int]]
    last: Array


def coefficients(tau_mem: Array, tau_syn: Array, dt: float) -> tuple[Array, Array, Array]:
    """a, k, b for unequal time constants."""
    a, b = np.exp(-dt / tau_mem), np.exp(-dt / tau_syn)
    return a, tau_syn / (tau_mem - tau_syn) * (a - b), b


def forward(s: Sample) -> Trace:
    size = len(s.tau_mem)
    a, k, b = coefficients(s.tau_mem, s.tau_syn, s.dt)
    x = np.zeros((s.steps, size))
    for step, row in s.arrivals:
        if step < s.steps:
            x[step] += s.weight[row]
    us, js, spikes, sent = np.zeros((s.steps, size)), np.zeros((s.steps, size)), [], []
    u, i = np.zeros(size), np.zeros(size)
    for n in range(s.steps):
        j = i + x[n]
        us[n], js[n] = u, j
        u, i = a * u + k * j, b * j
        for m in np.flatnonzero(u > s.threshold):
            rise = (u[m] - us[n, m]) * s.tau_mem[m] / s.dt
            spikes.append((n, int(m), float(rise)))
            u[m] = s.reset[m]
            for row in np.flatnonzero(np.array(s.source) == m):
                due = n + 1 + s.delay[row]
                if due < s.steps:
                    x[due] += s.fed[row]
                    sent.append((due, int(row), len(spikes) - 1))
    return Trace(us, js, spikes, sent, u)


def backward(s: Sample, t: Trace, times: Array, counts: Array, last: Array) -> dict[str, Array]:
    """Gradients for those of spike times, of counts and of the last membranes."""
    a, k, b = coefficients(s.tau_mem, s.tau_syn, s.dt)
    h = 1e-30
    da, dk, _ = (v.imag / h for v in coefficients(s.tau_mem + 1j * h, s.tau_syn, s.dt))
    _, ds, db = (v.imag / h for v in coefficients(s.tau_mem, s.tau_syn + 1j * h, s.dt))
    names = ("weight", "fed", "tau_mem", "tau_syn", "threshold", "reset")
    found = {name: np.zeros_like(getattr(s, name)) for name in names}
    found |= {"times": np.zeros(len(s.arrivals)), "delay": np.zeros(len(s.delay))}
    e, g_u, g_i = times.copy(), last.copy(), np.zeros_like(last)
    for n in reversed(range(s.steps)):
        for index, (step, m, slack) in enumerate(t.spikes):
            if step == n:
                found["reset"][m] += g_u[m]
                moved = e[index] - g_u[m] * (slack + s.threshold[m] - s.reset[m]) / s.tau_mem[m]
                rise = max(slack, 1e-3 * s.threshold[m]) / s.tau_mem[m]
                g_u[m] = -moved / rise + counts[m] / s.threshold[m]
                found["threshold"][m] -= g_u[m]
        found["tau_mem"] += g_u * (da * t.u[n] + dk * t.j[n])
        found["tau_syn"] += g_u * ds * t.j[n] + g_i * db * t.j[n]
        later, g_i = g_i, b * g_i + k * g_u
        g_u = a * g_u
        time = (later - g_i) / s.dt
        for index, (step, row) in enumerate(s.arrivals):
            if step == n:
                found["weight"][row] += g_i
                found["times"][index] = s.weight[row] @ time
        for due, row, index in t.sent:
            if due == n:
                found["fed"][row] += g_i
                found["delay"][row] += s.fed[row] @ time
                e[index] += s.fed[row] @ time
    return found
