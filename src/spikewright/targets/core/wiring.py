"""What the layers of neurons of a discrete program get from one another, over linear paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional

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


def layers(program: DiscreteProgram) -> tuple[Node, ...]:
    """The nodes of neurons, in the order in which they run."""
    return tuple(node for node in program.nodes if isinstance(node.operation, Neurons))


def neurons(node: Node) -> Neurons:
    """The operation of a node that `layers` gave."""
    assert isinstance(node.operation, Neurons)
    return node.operation


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
