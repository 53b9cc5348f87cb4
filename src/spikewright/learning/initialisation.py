"""First weights: scaled so that each layer fires at a wanted rate on real data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.connections import (
    AvgPool2d,
    Delay,
    Dropout,
    Flatten,
    MaxPool2d,
    RateMaxPool2d,
    StepDropout,
    SumPool2d,
)
from spikewright.connections.place import Place
from spikewright.connections.repeat import Repeat
from spikewright.connections.select import Select
from spikewright.connections.shared import Shared
from spikewright.connections.total import Total
from spikewright.engine.checks import check_sequence
from spikewright.engine.layer import Layer
from spikewright.errors import ParameterError, nearest
from spikewright.network import INPUT, Network, sum_inputs

DEFAULT_RATE = 0.05
_STEPS = 24
_RANGE = (-12.0, 24.0)
_SCALES = (
    AvgPool2d,
    Delay,
    Dropout,
    Flatten,
    MaxPool2d,
    Place,
    RateMaxPool2d,
    Repeat,
    Select,
    StepDropout,
    SumPool2d,
    Total,
)
"""Layers whose output grows by a factor if their input does; weights are scaled through them."""


def aim_rates(
    network: Network, x: Tensor | SpikeTimes, rate: float | Mapping[str, float] = DEFAULT_RATE
) -> dict[str, float]:
    """Scale fresh weights so that each spiking layer fires ``rate`` spikes a step and neuron.

    Layer by layer, from the input on: weight and bias of the connections that lead into a spiking
    layer, if need be through pooling, `Delay`, `Dropout` or `Flatten`, are multiplied by one
    factor, found by bisection on the layer's own response to ``x``. Of a recurrent layer only the
    incoming connection is scaled. Left alone are weights that were trained, loaded or set by
    hand, that lead elsewhere as well, or that cannot bring the layer to the rate. Buffers and
    random streams stay as they are.

    Args:
        x: a batch of typical input, (time, batch, *features) or spike times.
        rate: spikes per step and neuron, between 0 and 1; or one for each layer by its name,
            where others are left alone.

    Returns:
        The rate that each layer now has whose connections are fresh.

    Raises:
        ParameterError: a rate outside its range, or of a layer that is not there.
        ShapeError: ``x`` does not fit the network.

    >>> from spikewright import LI, LIF, Linear, Sequential
    >>> net = Sequential(Linear(30, 100), LIF(), Linear(100, 2), LI(), dt=1e-3)
    >>> rates = aim_rates(net, torch.rand(50, 16, 30), rate=0.1)
    >>> abs(rates["1_lif"] - 0.1) < 0.01
    True
    """
    _check_rate(network, rate)
    if isinstance(x, SpikeTimes):
        x = network.to_floating(x)
    check_sequence("aim_rates", x, network.shape)
    if network.shape is None:
        network.build(x.shape[2:])
    reached: dict[str, float] = {}
    with torch.no_grad(), _undisturbed(network, x):
        values = {INPUT: network.to_floating(x)}
        for name, layer in network.layers.items():
            total = sum_inputs([values[source] for source in network.sources[name]])
            incoming = _scalable(network, name)
            wanted = rate.get(name) if isinstance(rate, Mapping) else rate
            if layer.spiking and incoming and wanted is not None:
                factor, reached[name] = _find_factor(layer, total, wanted)
                for connection in incoming:
                    _scale(connection, factor)
                total = total * factor
            values[name] = layer(total)[0]
    return reached


@contextmanager
def _undisturbed(network: Network, x: Tensor) -> Iterator[None]:
    """Put back what running the layers changes: running means and random streams."""
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
        yield
    for buffer, before in buffers:
        buffer.copy_(before)


def _check_rate(network: Network, rate: float | Mapping[str, float]) -> None:
    each = rate if isinstance(rate, Mapping) else {None: rate}
    for name, one in each.items():
        if name is not None and name not in network.layers:
            raise ParameterError(
                f"aim_rates: rate must name layers of the network, got {name!r}. "
                f"{nearest(name, network.layers)}"
            )
        if not 0 < one < 1:
            raise ParameterError(
                f"aim_rates: rate must be between 0 and 1 spikes a step, got {one!r}. Use 0.05."
            )


def _scalable(network: Network, name: str) -> list[Layer]:
    """The connections into a layer, if each is fresh and leads nowhere else."""
    targets = [source for sources in network.sources.values() for source in sources]
    found: list[Layer] = []
    for source in network.sources[name]:
        layer = network.layers.get(source)
        layer = layer.layer if isinstance(layer, Shared) else layer
        if targets.count(source) != 1:
            return []
        connections = [layer] if _is_fresh(layer) else None
        if isinstance(layer, _SCALES):
            connections = _scalable(network, source)
        if not connections:
            return []
        found += [connection for connection in connections if connection is not None]
    return found


def _is_fresh(layer: Layer | None) -> bool:
    """Whether its weights are as they were drawn, and may change at all."""
    if layer is None or not getattr(layer, "untouched", False):
        return False
    return all(parameter.requires_grad for parameter in layer.parameters(recurse=False))


def _find_factor(layer: Layer, x: Tensor, rate: float) -> tuple[float, float]:
    """The factor on the input at which the layer fires at ``rate``, by bisection of its log."""

    def measure(exponent: float) -> float:
        torch.manual_seed(0)  # the same noise each time, or the bisection would chase it
        return float(layer(x * math.exp(exponent))[0].mean())

    low, high = _RANGE
    if measure(high) < rate or measure(low) > rate:
        return 1.0, measure(0.0)
    exponent = _bisect(measure, rate, low, high)
    return math.exp(exponent), measure(exponent)


def _bisect(measure: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if measure(middle) < wanted else (low, middle)
    return high


def _scale(connection: Layer, factor: float) -> None:
    """Multiply weight and bias; the connection no longer counts as untouched."""
    for name, parameter in connection.named_parameters(recurse=False):
        if name in ("weight", "bias"):
            parameter.mul_(factor)
