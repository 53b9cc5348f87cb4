"""The ReLU twin as plain torch modules with weights of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from spikewright.connections import (
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    RateMaxPool2d,
    SumPool2d,
)
from spikewright.engine.layer import Layer
from spikewright.errors import NetworkError
from spikewright.learning.proxy.requirements import obstacles
from spikewright.learning.proxy.twin import Statistics, Twin, drive
from spikewright.network import Network
from spikewright.neurons import IF

CONVOLUTIONS = {Conv1d: nn.Conv1d, Conv2d: nn.Conv2d}
PRODUCTS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d)


def as_torch(network: Network, statistics: Statistics | None = None) -> nn.Sequential:
    """The `Twin` of a network as ``torch.nn`` modules with copied weights, in evaluation mode.

    Args:
        network: layers one after the other, which `Proxy` can train.
        statistics: of the twin's batch norms; by default the network's own.

    Raises:
        NetworkError: a layer has no counterpart; names it.

    >>> from spikewright import Sequential
    >>> net = Sequential(Linear(2, 3), IF(v_threshold=2.0), Linear(3, 1), IF(), dt=1e-3)
    >>> ann = as_torch(net)
    >>> [type(module).__name__ for module in ann]
    ['Linear', 'ReLU', 'Linear', 'Identity']
    >>> x = torch.rand(5, 2)
    >>> torch.allclose(ann(x), Twin(net)(x))
    True
    """
    _check(network)
    twin = Twin(network, statistics)
    modules: dict[str, nn.Module] = {}
    gain: Tensor | None = None
    for name, layer in reversed(network.layers.items()):
        if isinstance(layer, IF):
            if gain is not None:
                raise refused(name, "IF", "neurons that follow it have no product before them")
            gain = _gain(name, layer)
            modules[name] = nn.ReLU() if modules else nn.Identity()
            continue
        modules[name] = module = _module(name, layer, twin.statistics.get(name, {}))
        if gain is not None and isinstance(module, PRODUCTS):
            gain = _multiply(module, gain)
    if gain is not None:
        raise refused(next(iter(network.layers)), "input", "the first neurons need a product")
    ordered = nn.Sequential()
    for name, module in reversed(modules.items()):
        ordered.add_module(name, module)
    return ordered.eval()


def refused(name: str, kind: str, why: str) -> NetworkError:
    """The error for a layer that cannot be converted."""
    return NetworkError(
        f"conversion: layer {name!r} must be one with a counterpart, got {kind}: {why}. "
        "Change it, or leave it out."
    )


def _check(network: Network) -> None:
    problems = obstacles(network)
    names = [*network.layers]
    for before, name in zip([None, *names], names, strict=False):
        if before is not None and network.sources[name] != (before,):
            problems.append(f"layer {name!r}: layers must follow one another, it joins others")
    if problems:
        raise NetworkError(
            f"conversion: network must be a chain that has a ReLU twin, got {'; '.join(problems)}. "
            "Change these layers."
        )


def _gain(name: str, layer: IF) -> Tensor:
    gain = drive(layer, torch.ones((), device=next(layer.buffers()).device)).detach()
    if gain.numel() != 1:
        raise refused(name, "IF", "its neurons differ in threshold or r; use one number for all")
    return gain.reshape(())


def _multiply(module: Any, gain: Tensor) -> None:
    """Put what the neurons multiply their input by into the product before them."""
    with torch.no_grad():
        module.weight.mul_(gain)
        if module.bias is not None:
            module.bias.mul_(gain)


def _module(name: str, layer: Layer, statistics: dict[str, Tensor]) -> nn.Module:
    if isinstance(layer, Linear):
        made = nn.Linear(layer.weight.shape[1], layer.out_features, layer.bias is not None)
        return _filled(made, layer)
    if isinstance(layer, Conv1d | Conv2d):
        options: dict[str, Any] = {
            key: getattr(layer, key) for key in ("stride", "padding", "dilation", "groups")
        }
        kind: Any = CONVOLUTIONS[type(layer)]
        shape = (layer.in_channels, layer.out_channels, layer.kernel_size)
        return _filled(kind(*shape, bias=layer.bias is not None, **options), layer)
    if isinstance(layer, BatchNorm):
        return _norm(layer, statistics)
    if isinstance(layer, MaxPool2d | RateMaxPool2d):
        return nn.MaxPool2d(layer.kernel_size, layer.stride, layer.padding)
    if isinstance(layer, AvgPool2d | SumPool2d):
        divisor = 1 if isinstance(layer, SumPool2d) else None
        window: Any = (layer.kernel_size, layer.stride, layer.padding)
        return nn.AvgPool2d(*window, divisor_override=divisor)
    if isinstance(layer, Flatten):
        return nn.Flatten(*(axis + 1 if axis >= 0 else axis for axis in (layer.first, layer.last)))
    if isinstance(layer, Dropout):
        return nn.Identity()
    raise refused(name, type(layer).__name__, "torch has no such module")


def _filled(module: Any, layer: Any) -> nn.Module:
    module.to(layer.weight.device, layer.weight.dtype)
    with torch.no_grad():
        module.weight.copy_(layer.weight)
        if layer.bias is not None:
            module.bias.copy_(layer.bias)
    return module


def _norm(layer: BatchNorm, statistics: dict[str, Tensor]) -> nn.Module:
    images = layer.shape is not None and len(layer.shape) == 3
    kind = nn.BatchNorm2d if images else nn.BatchNorm1d
    made = _filled(kind(len(layer.weight), layer.eps, layer.momentum), layer)
    with torch.no_grad():
        made.get_parameter("weight").mul_(layer.alpha * layer.v_threshold)
        for field, value in statistics.items():
            made.get_buffer(field).copy_(value)
    return made
