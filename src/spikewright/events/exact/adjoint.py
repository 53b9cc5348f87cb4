"""EventProp: dL/du and dL/dj followed backwards over arrivals and own spikes.

Between events g_u and g_j move with the transpose of what moves (u, j). An arrival through
weight w at t reads them, dL/dw += g_j and dL/dt = w (g_j / tau_syn - g_u / tau_mem); at an own
spike they jump (`gradient`).
"""

from __future__ import annotations

from spikewright.events.exact.backward import run_backward
from spikewright.events.exact.gradient import Given, Gradient
from spikewright.events.exact.history import History, Problem


def adjoint(problem: Problem, history: History, given: Given, needs_times: bool) -> Gradient:
    """The gradients of `Rule` at a cost linear in arrivals and spikes."""
    dense = problem.rows.dense
    name = "adjoint_dense" if dense else "adjoint_lazy"
    return run_backward(name, not dense, problem, history, given, needs_times)
