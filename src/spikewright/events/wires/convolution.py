"""Convolutions: for each input the outputs that it reaches, and the weight of each."""

from __future__ import annotations

import functools
from itertools import product

import torch
from torch import Tensor

from spikewright.connections import Conv1d, Conv2d
from spikewright.engine.products.geometry import Axis, Convolution
from spikewright.events.current import Synapses, Table
from spikewright.events.wires.wire import Wire


def conv_wire(layer: Conv1d | Conv2d) -> Wire:
    """One row for each input."""
    assert layer.shape is not None
    geometry = layer.geometry(layer.shape)
    outputs = geometry.outputs * geometry.places
    table = conv_table(geometry, str(layer.weight.device))
    return Wire(Synapses(layer.weight.flatten().double(), outputs, table))


@functools.lru_cache(maxsize=16)
def conv_table(geometry: Convolution, device: str = "cpu") -> Table:
    """The synapses of a convolution, those of a row by place in the kernel.

    Weights are counted in the row-major order of (outputs, inputs of a group, *kernel).
    """
    place, output, tap = _window(geometry).unbind(1)
    inputs = torch.arange(geometry.inputs)[:, None, None]
    group = inputs // geometry.in_group
    own = torch.arange(geometry.width)[None, None, :]
    channel = group * geometry.width + own
    row = inputs * geometry.plane + place[None, :, None]
    target = channel * geometry.places + output[None, :, None]
    kernel = channel * geometry.in_group + inputs % geometry.in_group
    entry = kernel * geometry.taps + tap[None, :, None]
    shape = target.shape
    order = row.expand(shape).flatten().argsort(stable=True)
    counts = torch.bincount(row.expand(shape).flatten(), minlength=geometry.inputs * geometry.plane)
    first = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Table(*(v.to(device) for v in (first, target.flatten()[order], entry.flatten()[order])))


def _window(geometry: Convolution) -> Tensor:
    """(place of the input, place of the output, tap) of one channel, (synapses, 3)."""
    found = torch.zeros(1, 3, dtype=torch.int64)
    for axis in geometry.axes:
        sizes = torch.tensor([axis.size, axis.outputs, axis.taps])
        pairs = _pairs(axis)
        found = (found[:, None] * sizes + pairs).flatten(0, 1)
    return found


def _pairs(axis: Axis) -> Tensor:
    """(place of the input, place of the output, tap) along one axis, (synapses, 3)."""
    all_pairs = product(range(axis.size), range(axis.taps))
    reached = ((place, axis.output(place, tap), tap) for place, tap in all_pairs)
    found = [(place, output, tap) for place, output, tap in reached if output is not None]
    return torch.tensor(found, dtype=torch.int64).reshape(-1, 3)
