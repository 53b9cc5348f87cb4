"""Connections, read: the layer that each kind of node stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import torch

from spikewright.compiler.exchange.arrays import axes, for_features, one, whole
from spikewright.compiler.exchange.conventions import Reading
from spikewright.compiler.exchange.metadata import Carried, unpack
from spikewright.compiler.exchange.nodes import DelayedWeights
from spikewright.connections import (
    AvgPool2d,
    Conv1d,
    Conv2d,
    Delay,
    DelayedLinear,
    Flatten,
    Linear,
    Scale,
    SumPool2d,
)
from spikewright.engine.layer import Layer
from spikewright.errors import ExchangeError
from spikewright.units import format_seconds

Shape = tuple[int, ...]


def read_connection(name: str, node: Any, shape: Shape, reading: Reading) -> Layer:
    """The layer that a node stands for, for inputs of ``shape``.

    Raises:
        ExchangeError: a field of the node is damaged or does not fit the input.
    """
    where = f"node {name!r} ({type(node).__name__})"
    carried = unpack(where, node)
    layer = READERS[type(node)](where, node, shape, (reading, carried, name))
    for rest in carried.rest():
        reading.notes.add(name, "lost", f"{rest}, unknown here")
    return layer


Context = tuple[Reading, Carried, str]


def _read_linear(where: str, node: Any, shape: Shape, context: Context) -> Layer:
    reading, carried, name = context
    weight = axes(where, "weight", node.weight, 2)
    bias = axes(where, "bias", node.bias, 1) if isinstance(node, nir.Affine) else None
    if bias is not None and len(bias) != len(weight):
        raise ExchangeError(
            f"{where}: bias must be one number for each row of weight, {len(weight)}, got "
            f"{len(bias)}. Correct the graph and read it again."
        )
    del carried
    layer = Linear(weight.shape[1], len(weight), bias=bias is not None)
    return _with_weights(layer, name, weight, bias, reading)


def _read_conv(where: str, node: Any, shape: Shape, context: Context) -> Layer:
    reading, carried, name = context
    kind = Conv1d if isinstance(node, nir.Conv1d) else Conv2d
    weight = axes(where, "weight", node.weight, kind.axes + 2)
    bias = axes(where, "bias", node.bias, 1)
    groups = one(where, "groups", node.groups)
    if len(bias) != len(weight) or groups < 1:
        raise ExchangeError(
            f"{where}: bias must be one number for each of {len(weight)} kernels, and groups 1 or "
            f"more, got {len(bias)} and {groups}. Correct the graph and read it again."
        )
    _check_input_shape(where, node.input_shape, shape, kind.axes)
    biased = carried.flag("bias", True) or bool(bias.any())
    layer = kind(
        weight.shape[1] * groups,
        len(weight),
        weight.shape[2:],
        stride=_per_axis(where, "stride", node.stride, kind.axes),
        padding=_padding(where, node.padding, kind.axes),
        dilation=_per_axis(where, "dilation", node.dilation, kind.axes),
        groups=groups,
        bias=biased,
    )
    return _with_weights(layer, name, weight, bias if biased else None, reading)


def _check_input_shape(where: str, given: Any, shape: Shape, count: int) -> None:
    if given is None:
        return
    own = whole(where, "input_shape", given)
    if own != shape[1:] and (own * count)[:count] != shape[1:]:
        raise ExchangeError(
            f"{where}: input_shape must be that of its input, {shape[1:]}, got {own}. Correct the "
            "graph and read it again."
        )


def _padding(where: str, value: Any, count: int) -> Any:
    if isinstance(value, bytes | np.bytes_):
        value = value.decode("utf-8", "replace")
    return str(value) if isinstance(value, str) else _per_axis(where, "padding", value, count)


def _per_axis(where: str, name: str, value: Any, count: int) -> Shape:
    found = whole(where, name, value)
    return found * count if len(found) == 1 else found


def _with_weights(layer: Any, name: str, weight: Any, bias: Any, reading: Reading) -> Layer:
    layer = layer.to(reading.dtype)
    with torch.no_grad():
        layer.weight.copy_(reading.tensor(name, weight))
        if bias is not None:
            layer.bias.copy_(reading.tensor(name, bias))
    return layer


def _read_pool(where: str, node: Any, shape: Shape, context: Context) -> Layer:
    kind = SumPool2d if isinstance(node, nir.SumPool2d) else AvgPool2d
    names = ("kernel_size", "stride", "padding")
    return kind(*(_per_axis(where, name, getattr(node, name), 2) for name in names))


def _read_flatten(where: str, node: Any, shape: Shape, context: Context) -> Layer:
    given = (node.input_type or {}).get("input")
    if given is not None and whole(where, "input_type", given) != shape:
        raise ExchangeError(
            f"{where}: input_type must be the shape of its input, {shape}, got "
            f"{whole(where, 'input_type', given)}. Correct the graph and read it again."
        )
    return Flatten(one(where, "start_dim", node.start_dim), one(where, "end_dim", node.end_dim))


def _read_scale(where: str, node: Any, shape: Shape, context: Context) -> Layer:
    reading, carried, name = context
    scale = reading.tensor(name, for_features(where, "scale", node.scale, shape))
    return Scale(scale, learnable=carried.flag("learnable", False))


def _read_delay(where: str, node: Any, shape: Shape, context: Context) -> Layer:
    reading, carried, name = context
    delays = np.asarray(for_features(where, "delay", node.delay, shape) * reading.stated.time_unit)
    if (delays < 0).any():
        raise ExchangeError(
            f"{where}: delay must be zero or more, got {delays.min():g} s. A node cannot look "
            "ahead; correct the graph and read it again."
        )
    return Delay(torch.from_numpy(delays), **_delay_options(name, delays, reading, carried)).to(
        reading.dtype
    )


def _delay_options(name: str, delays: Any, reading: Reading, carried: Carried) -> dict[str, Any]:
    rounded = carried.flag("rounded", True)
    steps = delays / reading.dt
    if not carried.values:
        off = float(np.abs(steps - np.round(steps)).max(initial=0.0)) * reading.dt
        said = f", off by at most {format_seconds(off)}" if off > 1e-6 * reading.dt else ""
        reading.notes.add(name, "assumed", f"delays act in whole steps{said}")
    maximum = carried.number("maximum", 0.0) or None
    learnable = carried.flag("learnable", False)
    spread = carried.number("spread", 0.0) or None
    return {"maximum": maximum, "learnable": learnable, "rounded": rounded, "spread": spread}


def _read_delayed_weights(where: str, node: Any, shape: Shape, context: Context) -> Layer:
    reading, carried, name = context
    del carried
    outputs, inputs = node.weight.shape
    bias = node.bias if node.bias.any() else None
    delays = torch.from_numpy(node.delays)
    layer = DelayedLinear(inputs, outputs, delays, rounded=node.rounded, bias=bias is not None)
    return _with_weights(layer, name, node.weight, bias, reading)


READERS: dict[Any, Callable[[str, Any, Shape, Context], Layer]] = {
    nir.Affine: _read_linear,
    nir.Linear: _read_linear,
    nir.Conv1d: _read_conv,
    nir.Conv2d: _read_conv,
    nir.AvgPool2d: _read_pool,
    nir.SumPool2d: _read_pool,
    nir.Flatten: _read_flatten,
    nir.Scale: _read_scale,
    nir.Delay: _read_delay,
    DelayedWeights: _read_delayed_weights,
}
