"""Linear connections: a row of weights for each input, or for each synapse with its own delay."""

from __future__ import annotations

import torch

from spikewright.connections import DelayedLinear, Linear
from spikewright.events.current import Synapses, Table
from spikewright.events.wires.wire import Wire


def linear_wire(layer: Linear) -> Wire:
    """One row for each input."""
    return Wire(Synapses(layer.weight.t().double(), layer.out_features))


def delayed_linear_wire(layer: DelayedLinear) -> Wire:
    """One row for each input where its synapses share a delay, else one for each synapse."""
    weight, delays = layer.weight.t().double(), layer.delays.double()
    inputs, outputs = weight.shape
    if delays.ndim < 2 or len(delays) == 1:
        return Wire(Synapses(weight, outputs), delay=delays.expand(1, inputs)[0])
    place = torch.arange(inputs * outputs + 1, device=weight.device)
    table = Table(place, place[:-1] % outputs, place[:-1])
    synapses = Synapses(weight.flatten(), outputs, table)
    delay = delays.expand(outputs, inputs).t().flatten()
    return Wire(synapses, place[::outputs], delay)
