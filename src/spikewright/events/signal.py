"""Spikes between two layers, and what layers without weights do to them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.connections import AvgPool2d, Delay, Dropout, Flatten, Scale, SumPool2d
from spikewright.engine.layer import Layer
from spikewright.events.ragged import Ragged
from spikewright.events.wires.convolution import conv_table


class Signal(NamedTuple):
    """Spikes, each worth ``gain`` of its unit, () or (units,) float64; ``None`` for 1."""

    spikes: SpikeTimes
    gain: Tensor | None = None

    def times(self, factor: Tensor) -> Signal:
        """The same, worth ``factor`` times as much."""
        return self._replace(gain=factor if self.gain is None else self.gain * factor)


def delay_signal(layer: Delay, signal: Signal) -> Signal:
    """Each spike later by the delay of its unit; those after the trial are left out."""
    spikes = signal.spikes
    delays = layer.delays.double().expand(spikes.shape).flatten()
    times = spikes.times + delays[spikes.units]
    late = Ragged(times, spikes.units, spikes.offsets).until(spikes.duration).ordered(by_mark=True)
    return signal._replace(spikes=_with_events(spikes, late, spikes.shape))


def pool_signal(layer: SumPool2d | AvgPool2d, signal: Signal) -> Signal:
    """The spikes of each window as those of one unit; of a mean, each is worth its share."""
    spikes, geometry = signal.spikes, layer.geometry()
    table = conv_table(geometry, str(spikes.units.device))
    events = Ragged(spikes.times, spikes.units, spikes.offsets).fan_out(table.first)
    pooled = events._replace(marks=table.target[events.marks]).ordered(by_mark=True)
    signal = signal._replace(spikes=_with_events(spikes, pooled, geometry.shape))
    if isinstance(layer, SumPool2d):
        return signal
    return signal.times(spikes.times.new_tensor(1 / math.prod(layer.kernel_size)))


def flatten_signal(layer: Flatten, signal: Signal) -> Signal:
    """The same spikes of units in another shape."""
    shape = layer.output_shape(signal.spikes.shape)
    return signal._replace(spikes=replace(signal.spikes, shape=shape))


def scale_signal(layer: Scale, signal: Signal) -> Signal:
    """The same spikes, worth more or less."""
    return signal.times(flat_scale(layer, signal.spikes.shape))


def drop_signal(layer: Dropout, signal: Signal) -> Signal:
    """While training, no spikes of some units; the others are worth more."""
    if not layer.training:
        return signal
    spikes = signal.spikes
    events = Ragged(spikes.times, spikes.units, spikes.offsets)
    kept = torch.rand(spikes.batch, spikes.size, device=spikes.units.device) >= layer.p
    events = events.take(kept[events.samples, events.marks])
    signal = signal._replace(spikes=_with_events(spikes, events, spikes.shape))
    return signal.times(spikes.times.new_tensor(1 / (1 - layer.p)))


def flat_scale(layer: Scale, shape: tuple[int, ...]) -> Tensor:
    """The factors of a layer, () or one for each feature, float64."""
    scale = layer.scale.double()
    return scale.reshape(()) if scale.numel() == 1 else scale.expand(shape).flatten()


def _with_events(spikes: SpikeTimes, events: Ragged, shape: tuple[int, ...]) -> SpikeTimes:
    times, units, offsets = events
    return replace(spikes, times=times, units=units, offsets=offsets, shape=tuple(shape))


SIGNALS: dict[type[Layer], Callable[[Any, Signal], Signal]] = {
    Delay: delay_signal,
    SumPool2d: pool_signal,
    AvgPool2d: pool_signal,
    Flatten: flatten_signal,
    Scale: scale_signal,
    Dropout: drop_signal,
}
"""The kinds of layers that take spikes and give spikes."""
