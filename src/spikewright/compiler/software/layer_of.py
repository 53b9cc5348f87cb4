"""The layer that does what a node does."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from spikewright import connections
from spikewright.compiler.discrete import (
    Affine,
    Convolution,
    Delayed,
    DelayedProduct,
    MatrixProduct,
    Maximum,
    Neurons,
    Node,
    Reshape,
    WindowSum,
)
from spikewright.compiler.formats import Format, quantised
from spikewright.compiler.software import layers as own
from spikewright.compiler.software.neurons import ProgramNeurons
from spikewright.compiler.tensors import tensors_of
from spikewright.engine.layer import Layer
from spikewright.engine.products import geometry
from spikewright.errors import CompileError


def layer_of(node: Node, dt: float, dtype: torch.dtype) -> Layer:
    """A layer for a node, with the weights of its format; not bound to a shape yet.

    Args:
        dt: s.
        dtype: of the program's numbers.

    Raises:
        CompileError: a pooling has other borders before than behind, which no layer has.
    """
    operation = node.operation
    match operation:
        case Reshape():
            return own.Reshape(node.shape)
        case Affine():
            return own.Affine(operation)
        case MatrixProduct():
            outputs, inputs = operation.weight.shape
            product = connections.Linear(inputs, outputs, bias=operation.bias is not None)
            return _weighted(product, operation.weight, _bias(node), node.weight_format)
        case Convolution():
            return _convolution(node, operation)
        case WindowSum() | Maximum():
            return _pool(node, operation, dtype)
        case Delayed():
            return _delay(operation, dt)
        case DelayedProduct():
            return _delayed_product(operation, node, dt)
        case Neurons():
            return ProgramNeurons(operation, node.shape)


def _weighted(layer: Any, weight: Tensor, bias: Tensor | None, format: Format | None) -> Layer:
    layer.weight = nn.Parameter(weight if format is None else quantised(weight, format))
    layer.bias = None if bias is None else nn.Parameter(bias)
    return layer.requires_grad_(False)


def _bias(node: Node) -> Tensor | None:
    """The bias of a node in its format."""
    bias, format = tensors_of(node).get("bias"), node.bias_format
    return bias if bias is None or format is None else quantised(bias, format)


def _convolution(node: Node, operation: Convolution) -> Layer:
    shape = operation.geometry
    kind: Any = connections.Conv1d if len(shape.axes) == 1 else connections.Conv2d
    layer = kind(
        shape.inputs,
        shape.outputs,
        tuple(axis.taps for axis in shape.axes),
        stride=tuple(axis.stride for axis in shape.axes),
        padding=_padding(node.name, shape, same=True),
        dilation=tuple(axis.dilation for axis in shape.axes),
        groups=shape.groups,
        bias=operation.bias is not None,
    )
    return _weighted(layer, operation.weight, _bias(node), node.weight_format)


def _padding(name: str, shape: geometry.Convolution, same: bool = False) -> Any:
    if all(axis.before == axis.after for axis in shape.axes):
        return tuple(axis.before for axis in shape.axes)
    zeros = [axis.dilation * (axis.taps - 1) for axis in shape.axes]
    if same and all(
        (axis.before, axis.after) == (n // 2, n - n // 2)
        for axis, n in zip(shape.axes, zeros, strict=True)
    ):
        return "same"
    borders = [(axis.before, axis.after) for axis in shape.axes]
    raise CompileError(
        f"compiler.network: node {name!r} must have as many zeros before as behind, got {borders}. "
        "Pad the input in a layer before it."
    )


def _pool(node: Node, operation: WindowSum | Maximum, dtype: torch.dtype) -> Layer:
    shape = operation.geometry
    options = (
        tuple(axis.taps for axis in shape.axes),
        tuple(axis.stride for axis in shape.axes),
        _padding(node.name, shape),
    )
    if isinstance(operation, Maximum):
        return connections.MaxPool2d(*options)
    if operation.factor * shape.taps == 1:
        return connections.AvgPool2d(*options)
    total = connections.SumPool2d(*options)
    if operation.factor == 1:
        return total
    return own.Chain(total, connections.Scale(torch.tensor(operation.factor, dtype=dtype)))


def _delay(operation: Delayed, dt: float) -> Layer:
    if bool(operation.fraction.any()):
        return own.GivenDelay(operation, dt)
    steps = operation.steps.double()
    return connections.Delay(steps * dt, operation.depth * dt, rounded=True)


def _delayed_product(operation: DelayedProduct, node: Node, dt: float) -> Layer:
    (outputs, inputs, taps), format = operation.taps.shape, node.weight_format
    if bool(((operation.taps != 0).sum(-1) > 1).any()) or format is not None:
        given = operation.taps if format is None else quantised(operation.taps, format)
        layer = own.GivenTaps(given, operation.bias is not None, dt)
        return _weighted(layer, given.sum(-1), _bias(node), None)
    steps = taps - 1 - (operation.taps != 0).int().argmax(-1).clamp(max=taps - 1)
    steps = steps.where((operation.taps != 0).any(-1), 0).double()
    layer = connections.DelayedLinear(
        inputs, outputs, steps * dt, (taps - 1) * dt, rounded=True, bias=operation.bias is not None
    )
    return _weighted(layer, operation.taps.sum(-1), _bias(node), None)
