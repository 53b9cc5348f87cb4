"""Connections as rows of synapses, one kind a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spikewright.connections import Conv1d, Conv2d, Delay, DelayedLinear, Linear
from spikewright.engine.layer import Layer
from spikewright.events.wires.all_to_all import delayed_linear_wire, linear_wire
from spikewright.events.wires.convolution import conv_wire
from spikewright.events.wires.one_to_one import delay_wire, direct_wire
from spikewright.events.wires.wire import Wire, merge_currents, scale_targets

WIRES: dict[type[Layer], Callable[[Any], Wire]] = {
    Linear: linear_wire,
    DelayedLinear: delayed_linear_wire,
    Conv1d: conv_wire,
    Conv2d: conv_wire,
}
"""The kinds of layers that weigh spikes, and how each becomes rows of synapses."""

FEEDBACK: dict[type[Layer], Callable[[Any], Wire]] = {**WIRES, Delay: delay_wire}
"""The kinds that may lead from the spikes of a recurrent layer back to its neurons."""

__all__ = ["FEEDBACK", "WIRES", "Wire", "direct_wire", "merge_currents", "scale_targets"]
