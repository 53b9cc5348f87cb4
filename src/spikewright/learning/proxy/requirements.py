"""Which networks have a ReLU twin, said layer by layer."""

from __future__ import annotations

from torch import nn

from spikewright.connections import (
    BatchNorm,
    Delay,
    DelayedLinear,
    Dropout,
    Flatten,
    Fold,
    Linear,
    Recurrent,
    Scale,
)
from spikewright.connections.conv import Conv
from spikewright.connections.pool import Pool2d
from spikewright.engine.layer import Layer
from spikewright.network import Network
from spikewright.neurons import IF

SAME = (Linear, Conv, Pool2d, Flatten, Dropout, BatchNorm, Scale)
"""Layers that the twin has too."""
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def obstacles(network: nn.Module) -> list[str]:
    """Why a network has no twin: one line a layer, with its name; else empty."""
    if not isinstance(network, Network):
        return [f"network: must be a spikewright Network, is {type(network).__name__}"]
    found = {name: obstacle(layer) for name, layer in network.layers.items()}
    lines = [f"layer {name!r}: {why}" for name, why in found.items() if why is not None]
    last = next(reversed(network.layers))
    if found[last] is None and not isinstance(network.layers[last], IF):
        kind = type(network.layers[last]).__name__
        lines.append(f"layer {last!r}: the output must be IF, whose spikes are counted, is {kind}")
    return lines


def obstacle(layer: Layer) -> str | None:
    """Why a layer has no counterpart in a ReLU network; ``None`` if it has one."""
    kind = type(layer).__name__
    if isinstance(layer, IF):
        return _of_neurons(layer)
    if isinstance(layer, SAME):
        return None
    if isinstance(layer, Fold):
        inside = any(isinstance(module, NORMS) for module in layer.modules())
        return "torch's batch norm keeps one set of statistics, use BatchNorm" if inside else None
    if isinstance(layer, Recurrent):
        return f"{kind} feeds spikes back, and a ReLU network has one step only"
    if isinstance(layer, Delay | DelayedLinear):
        return f"{kind} shifts spikes in time, and a ReLU network has one step only"
    if layer.stateful and hasattr(layer, "params"):
        return f"the rate of {kind} is no ReLU of its input (leak, adaptation or no spikes), use IF"
    return f"{kind} has no counterpart in a ReLU network"


def _of_neurons(layer: IF) -> str | None:
    if layer.firing.reset == "none":
        return "IF without a reset fires for ever, use reset='subtract' or 'to_value'"
    if layer.refractory:
        return "a refractory time bends the rate away from a ReLU, leave it out"
    if layer.noise:
        return "noise has no counterpart in a ReLU network, leave it out"
    return None
