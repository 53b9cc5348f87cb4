"""What a discrete program joins: layers of neurons, and between them one matrix each.

A bias is one more source, with one channel that spikes in every step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spikewright.compiler.design import bias_of
from spikewright.compiler.discrete import (
    INPUT,
    DiscreteProgram,
    Neurons,
    Node,
    Operation,
    Reshape,
)
from spikewright.engine.products.geometry import Convolution as Geometry
from spikewright.engine.program import Convolution, MatrixProduct, WindowSum

LINEAR = (Reshape, MatrixProduct, Convolution, WindowSum)
"""Operations that a matrix between two layers of neurons can stand for."""
MODELS = ("CubaLIF", "CubaLI")
"""Neurons that a circuit can be."""
MOST_ENTRIES = 2**22
"""Entries of the largest matrix that operations are unrolled into."""


@dataclass(frozen=True)
class Path:
    """The linear operations on the way from one layer of neurons to another.

    Args:
        source: ``"input"`` or a layer of neurons; target: a layer of neurons.
        nodes: names of the operations, in the order in which values pass them.
        steps: time steps that values take on the way.
    """

    source: str
    target: str
    nodes: tuple[str, ...]
    steps: int


@dataclass(frozen=True, eq=False)
class Projection:
    """All that one layer of neurons gets from another one, or from its bias.

    Args:
        weight: float64 (targets, sources).
        joined: bool, of the same shape: which pairs a weight can join, whatever its value.
        steps: 0, or 1 where the spikes come back.
    """

    source: str
    target: str
    weight: NDArray[np.float64]
    joined: NDArray[np.bool_]
    steps: int


def layers(program: DiscreteProgram) -> tuple[Node, ...]:
    """The nodes of neurons, in the order in which they run."""
    return tuple(node for node in program.nodes if isinstance(node.operation, Neurons))


def neurons(node: Node) -> Neurons:
    """The operation of a node that `layers` gave."""
    assert isinstance(node.operation, Neurons)
    return node.operation


def is_sound(program: DiscreteProgram) -> bool:
    """Whether circuits and matrices can stand for all of a program."""
    known = all(neurons(node).model in MODELS for node in layers(program))
    return known and all(is_plain(program, path) for path in paths(program))


def size(program: DiscreteProgram, name: str) -> int:
    """How many channels a layer, the input or a bias has."""
    if is_bias(name):
        return 1
    return math.prod(program.shape if name == INPUT else program.node(name).shape)


def paths(program: DiscreteProgram) -> tuple[Path, ...]:
    """Every way from a layer or the input to a layer, in the order of the targets."""
    return tuple(path for node in layers(program) for path in _back(program, node, node.name))


def _back(program: DiscreteProgram, node: Node, target: str) -> Iterator[Path]:
    for edge in node.edges:
        before = None if edge.source == INPUT else program.node(edge.source)
        if before is None or isinstance(before.operation, Neurons):
            yield Path(edge.source, target, (), edge.steps)
            continue
        for path in _back(program, before, target):
            yield replace(path, nodes=(*path.nodes, before.name), steps=path.steps + edge.steps)


def is_plain(program: DiscreteProgram, path: Path) -> bool:
    """Whether a matrix can stand for a path: all on it is linear, and none of it too large."""
    sizes = [size(program, name) for name in (path.source, *path.nodes)]
    linear = all(isinstance(program.node(name).operation, LINEAR) for name in path.nodes)
    return linear and len(sizes) > 1 and sizes[0] * max(sizes[1:]) <= MOST_ENTRIES


def projections(program: DiscreteProgram) -> tuple[Projection, ...]:
    """One for each pair of layers that are joined, then one for each layer with a bias.

    Paths side by side are added up, biases as well.

    Paths that are not plain are left out; `check` names what is on them.
    """
    found: dict[tuple[str, str], Projection] = {}
    for path in filter(lambda path: is_plain(program, path), paths(program)):
        shape = program.shape if path.source == INPUT else program.node(path.source).shape
        operations = [program.node(name).operation for name in path.nodes]
        one = Projection(path.source, path.target, *_matrix(operations, shape), path.steps)
        key = (path.source, path.target)
        found[key] = _sum(found[key], one) if key in found else one
    return (*found.values(), *_biases(program))


def _sum(a: Projection, b: Projection) -> Projection:
    return replace(a, weight=a.weight + b.weight, joined=a.joined | b.joined)


def is_bias(source: str) -> bool:
    """Whether a source is the bias of a layer."""
    return source.endswith(bias_of(""))


def is_repeated(source: str) -> bool:
    """Whether the rows of a source are repeated: those of the input and of biases."""
    return source == INPUT or is_bias(source)


def biased(program: DiscreteProgram) -> dict[str, tuple[str, ...]]:
    """By layer of neurons that gets a bias, the products it comes from."""
    found: dict[str, dict[str, None]] = {}
    for path in paths(program):
        for name in path.nodes:
            operation = program.node(name).operation
            if isinstance(operation, MatrixProduct | Convolution) and operation.bias is not None:
                found.setdefault(path.target, {})[name] = None
    return {target: tuple(names) for target, names in found.items()}


def _biases(program: DiscreteProgram) -> Iterator[Projection]:
    unclear = {path.target for path in paths(program) if not is_plain(program, path)}
    for target in biased(program):
        if target not in unclear:
            weight = _brought(program, target).T.numpy()
            joined = np.ones(weight.shape, dtype=np.bool_)
            yield Projection(bias_of(target), target, weight, joined, 0)


def _brought(program: DiscreteProgram, name: str) -> Tensor:
    """What a node gets while nothing fires, (1, n), float64."""
    edges = program.node(name).edges
    return torch.stack([_handed_on(program, edge.source) for edge in edges]).sum(0)


def _handed_on(program: DiscreteProgram, name: str) -> Tensor:
    """What a node hands on while nothing fires, (1, n), float64."""
    operation = None if name == INPUT else program.node(name).operation
    if operation is None or isinstance(operation, Neurons):
        return torch.zeros(1, size(program, name), dtype=torch.float64)
    value = apply(operation, _brought(program, name))
    if isinstance(operation, MatrixProduct | Convolution) and operation.bias is not None:
        each = operation.bias.detach().double()
        value = value + each.reshape(-1, *[1] * (value.ndim - 2))
    return value.flatten(1)


def _matrix(
    operations: list[Operation], shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The operations as one matrix, and where it may be other than zero."""
    if len(operations) == 1 and isinstance(operations[0], MatrixProduct):
        weight = operations[0].weight.detach().double().numpy()
        return weight, np.ones(weight.shape, dtype=np.bool_)
    unit = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    value, reach = unit, unit
    for operation in operations:
        value, reach = apply(operation, value), apply(_of_ones(operation), reach)
    return value.flatten(1).T.numpy(), (reach.flatten(1).T != 0).numpy()


def apply(operation: Operation, x: Tensor) -> Tensor:
    """A linear operation on rows of values, (rows, *shape), float64.

    A bias is left out.
    """
    if isinstance(operation, MatrixProduct):
        return x.flatten(1) @ operation.weight.detach().double().T
    if isinstance(operation, Convolution):
        return _convolve(x, operation.weight.detach().double(), operation.geometry)
    if isinstance(operation, WindowSum):
        g = operation.geometry
        taps = (axis.taps for axis in g.axes)
        return _convolve(x, x.new_full((g.outputs, g.in_group, *taps), operation.factor), g)
    assert isinstance(operation, Reshape)
    return x.flatten(1)


def _convolve(x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    axes = geometry.axes
    x = x.reshape(len(x), geometry.inputs, *(axis.size for axis in axes))
    zeros = [n for axis in reversed(axes) for n in (axis.before, axis.after)]
    strides, dilations = [axis.stride for axis in axes], [axis.dilation for axis in axes]
    function = functional.conv1d if len(axes) == 1 else functional.conv2d
    return function(functional.pad(x, zeros), weight, None, strides, 0, dilations, geometry.groups)


def _of_ones(operation: Operation) -> Operation:
    """The operation with every weight one, which shows what it joins."""
    if isinstance(operation, MatrixProduct | Convolution):
        return replace(operation, weight=torch.ones_like(operation.weight))
    return replace(operation, factor=1.0) if isinstance(operation, WindowSum) else operation
