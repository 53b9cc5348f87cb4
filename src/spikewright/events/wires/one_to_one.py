"""Spikes that reach the neuron of their own number, without weights."""

from __future__ import annotations

import math

import torch

from spikewright.connections import Delay
from spikewright.events.current import Synapses, Table
from spikewright.events.wires.wire import Wire


def direct_wire(units: int, device: torch.device | None = None) -> Wire:
    """Each spike adds 1 to the current of its neuron."""
    place = torch.arange(units + 1, device=device)
    table = Table(place, place[:-1], torch.zeros_like(place[:-1]))
    one = torch.ones(1, dtype=torch.float64, device=device)
    return Wire(Synapses(one, units, table))


def delay_wire(layer: Delay) -> Wire:
    """Each spike adds 1 to the current of its neuron, after the delay."""
    assert layer.shape is not None
    delay = layer.delays.double().expand(layer.shape).flatten()
    return direct_wire(math.prod(layer.shape), delay.device)._replace(delay=delay)
