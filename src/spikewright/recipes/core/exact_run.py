"""What a network that learns from exact events did with samples, as a report shows it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from spikewright.coding import SpikeTimes
from spikewright.events.grid import Grid
from spikewright.events.requirements import neurons_of
from spikewright.events.trace import Recorder, potentials
from spikewright.learning.event_rule import EventRule
from spikewright.learning.rule import Rule
from spikewright.network import Network, Run

SHOWN_STEPS = 400
"""Into how many steps a trial is cut at least, to be drawn."""


def is_exact(rule: Rule, network: Network) -> bool:
    """Whether the rule's spikes lie on no grid, so that `Network.run` shows others."""
    return isinstance(rule, EventRule) and not isinstance(rule.solver_for(network), Grid)


def shown_dt(spikes: SpikeTimes, dt: float) -> float:
    """Time step to draw a trial with, s: the network's, or a whole part of it in a short trial."""
    return dt / math.ceil(SHOWN_STEPS / spikes.steps(dt))


def run_exactly(
    rule: Any, network: Network, spikes: SpikeTimes, dt: float, *, potential: bool = False
) -> Run:
    """The rule's own run, put on a grid of ``dt`` seconds to be drawn or counted.

    Args:
        rule: an `EventRule`.
        network: as trained.
        spikes: the input.
        dt: of the result, s.
        potential: whether to work out ``"v"`` of all layers of neurons too.
    """
    recorder = Recorder(rule.solver_for(network))
    targets = torch.zeros(spikes.batch, dtype=torch.int64)
    with torch.no_grad():
        run = rule.measure(network, spikes, targets, recorder).run
    records: dict[str, dict[str, Tensor]] = {
        name: {"spikes": fired.spikes.raster(dt)} for name, fired in run.fired.items()
    }
    last = next(reversed(network.layers))
    if potential:
        names = dict.fromkeys([*records, last])
        for name, u in zip(names, potentials(recorder, run, dt), strict=True):
            v = _potential(network.layers[name], u[: spikes.steps(dt)])
            records[name] = {**records.get(name, {}), "v": v}
    shown = records.get(last, {})
    output = shown.get("spikes", shown.get("v", torch.zeros(0, spikes.batch)))
    return Run(output, {}, records)


def _potential(layer: Any, u: Tensor) -> Tensor:
    """v, (time, batch, *shape), from the distance to rest (time, batch, neurons)."""
    neuron: Any = neurons_of(layer)
    v_leak = neuron.params().v_leak.detach()
    return u.float().reshape(*u.shape[:2], *neuron.shape) + v_leak
