"""First weights: scaled so that each layer fires at a wanted rate on real data."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from spikewright.engine.layer import Layer
from spikewright.errors import ParameterError
from spikewright.network import INPUT, Network, sum_inputs

DEFAULT_RATE = 0.05
_STEPS = 24
_RANGE = (-12.0, 24.0)


def aim_rates(network: Network, x: Tensor, rate: float = DEFAULT_RATE) -> dict[str, float]:
    """Scale fresh weights so that each spiking layer fires ``rate`` spikes a step and neuron.

    Layer by layer, from the input on: weight and bias of the connections that lead into a spiking
    layer are multiplied by one factor, found by bisection on the layer's own response to ``x``.
    Weights that were trained, loaded or set by hand are left alone.

    Args:
        x: a batch of typical input, (time, batch, *features).
        rate: spikes per step and neuron, between 0 and 1.

    Returns:
        The rate that each scaled layer now has.

    Raises:
        ParameterError: a rate outside its range.

    >>> from spikewright import LI, LIF, Linear, Sequential
    >>> net = Sequential(Linear(30, 100), LIF(), Linear(100, 2), LI(), dt=1e-3)
    >>> rates = aim_rates(net, torch.rand(50, 16, 30), rate=0.1)
    >>> abs(rates["1_lif"] - 0.1) < 0.01
    True
    """
    if not 0 < rate < 1:
        raise ParameterError(
            f"aim_rates: rate must be between 0 and 1 spikes a step, got {rate!r}. Use 0.05."
        )
    if network.shape is None:
        network.build(x.shape[2:])
    reached: dict[str, float] = {}
    with torch.no_grad(), torch.random.fork_rng():
        values = {INPUT: x if x.is_floating_point() else x.to(torch.get_default_dtype())}
        for name, layer in network.layers.items():
            total = sum_inputs([values[source] for source in network.sources[name]])
            incoming = _scalable(network, name)
            if layer.spiking and incoming:
                factor, reached[name] = _find_factor(layer, total, rate)
                for connection in incoming:
                    _scale(connection, factor)
                total = total * factor
            values[name] = layer(total)[0]
    return reached


def _scalable(network: Network, name: str) -> list[Layer]:
    """The connections into a layer, if each is fresh and leads nowhere else."""
    layers = [network.layers.get(source) for source in network.sources[name]]
    targets = [s for sources in network.sources.values() for s in sources]
    fresh = all(getattr(layer, "untouched", False) for layer in layers)
    alone = all(targets.count(source) == 1 for source in network.sources[name])
    return [layer for layer in layers if layer is not None] if fresh and alone else []


def _find_factor(layer: Layer, x: Tensor, rate: float) -> tuple[float, float]:
    """The factor on the input at which the layer fires at ``rate``, by bisection of its log."""

    def measure(exponent: float) -> float:
        return float(layer(x * math.exp(exponent))[0].mean())

    low, high = _RANGE
    if measure(high) < rate:
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
    for parameter in connection.parameters(recurse=False):
        parameter.mul_(factor)
