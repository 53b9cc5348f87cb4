"""Spike-time backpropagation: from each spike of a neuron to the one before, and to arrivals.

After "Exact error backpropagation through spikes for precise training of spiking neural networks"
(Bacho and Chu 2022) and "Timing-based backpropagation in spiking neural networks without
single-spike restrictions" (Yamamoto, Sakemi and Aihara 2022), for any ratio of the time constants.
"""

from __future__ import annotations

from spikewright.events.exact.backward import run_backward
from spikewright.events.exact.gradient import Given, Gradient
from spikewright.events.exact.history import History, Problem


def chain(problem: Problem, history: History, given: Given, needs_times: bool) -> Gradient:
    """The gradients of `Rule` at a cost linear in arrivals and spikes."""
    return run_backward("chain", True, problem, history, given, needs_times)
