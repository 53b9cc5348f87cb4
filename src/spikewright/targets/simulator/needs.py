"""How many neurons and synapses the layers of a program have."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from spikewright.compiler.discrete import (
    INPUT,
    Convolution,
    DelayedProduct,
    DiscreteProgram,
    MatrixProduct,
    Maximum,
    Neurons,
    Node,
    Operation,
    WindowSum,
)
from spikewright.compiler.reporting.cost import stored_numbers
from spikewright.engine.products.geometry import Axis


@dataclass(frozen=True)
class Need:
    """What a node takes.

    Args:
        layer: name of the node.
        neurons: of a layer of neurons.
        synapses: weights and biases that are stored.
        fan_in: weights that lead to one of its outputs, the most of any; of a layer of neurons
            only where several products meet.
    """

    layer: str
    neurons: int = 0
    synapses: int = 0
    fan_in: int = 0


def needs(program: DiscreteProgram) -> list[Need]:
    """What each node takes, in order."""
    return [_need(program, node) for node in program.nodes]


def _need(program: DiscreteProgram, node: Node) -> Need:
    operation = node.operation
    if not isinstance(operation, Neurons):
        return Need(node.name, synapses=sum(stored_numbers(node)), fan_in=_met(operation))
    cells = len(operation.step.inputs) - operation.noise
    ways = [_joined(program, edge.source) for edge in node.edges for _ in range(cells)]
    together = sum(ways) if sum(map(bool, ways)) > 1 else 0  # a single way is that product's
    return Need(node.name, neurons=math.prod(node.shape), fan_in=together)


def _joined(program: DiscreteProgram, source: str) -> int:
    """Weights that lead to one number of a source, through what only hands values on."""
    if source == INPUT or isinstance(program.node(source).operation, Neurons):
        return 0
    node = program.node(source)
    return _met(node.operation) or sum(_joined(program, edge.source) for edge in node.edges)


def _met(operation: Operation) -> int:
    """Numbers of the input that meet in one output, the most of any."""
    match operation:
        case MatrixProduct():
            return operation.weight.shape[1]
        case DelayedProduct():
            return int((operation.taps != 0).sum((1, 2)).max())
        case Convolution():
            return operation.geometry.in_group * _window(operation.geometry.axes)
        case WindowSum() | Maximum():
            return _window(operation.geometry.axes)
        case _:
            return 0


def _window(axes: Iterable[Axis]) -> int:
    """Numbers of one channel, zeros of the border left out, that meet in one output."""
    return math.prod(max(_reached(axis).values(), default=0) for axis in axes)


def _reached(axis: Axis) -> Counter[int | None]:
    """How many numbers each output of an axis is made of."""
    found = Counter(axis.output(x, tap) for x in range(axis.size) for tap in range(axis.taps))
    del found[None]
    return found
