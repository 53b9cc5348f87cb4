"""Spikes at exact times: simulation and gradients that follow events, not time steps.

Spikes are lists of times (`spikewright.coding.SpikeTimes`). A connection turns them into arrivals
at synapses (`current`), a solver turns arrivals into the spikes or the membrane of a group of
neurons (`solver`), and `network` walks an ordinary network in that way.
"""

from __future__ import annotations

from spikewright.events.membrane import Membrane
from spikewright.events.network import EventRun, run_events
from spikewright.events.requirements import requirements
from spikewright.events.simulate import simulate
from spikewright.events.solver import Fired, Limits, Samples, Solver, TimeWeight

__all__ = [
    "EventRun",
    "Fired",
    "Limits",
    "Membrane",
    "Samples",
    "Solver",
    "TimeWeight",
    "requirements",
    "run_events",
    "simulate",
]
