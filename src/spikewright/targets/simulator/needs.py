"""How many neurons and synapses the layers of a program have."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spikewright.compiler.cost import fan_out, stored_numbers
from spikewright.compiler.discrete import INPUT, DiscreteProgram, Neurons, Node


@dataclass(frozen=True)
class Need:
    """What a node takes.

    Args:
        layer: name of the node.
        neurons: of a layer of neurons.
        synapses: weights and biases that are stored.
        fan_in: weights that lead to one of its outputs, the mean over outputs rounded up.
    """

    layer: str
    neurons: int = 0
    synapses: int = 0
    fan_in: int = 0


def needs(program: DiscreteProgram) -> list[Need]:
    """What each node takes, in order."""
    return [_need(program, node) for node in program.nodes]


def _need(program: DiscreteProgram, node: Node) -> Need:
    if isinstance(node.operation, Neurons):
        return Need(node.name, neurons=math.prod(node.shape))
    source = node.edges[0].source
    shape = program.shape if source == INPUT else program.node(source).shape
    joined = float(fan_out(node.operation, shape).sum())
    return Need(
        node.name,
        synapses=sum(stored_numbers(node)),
        fan_in=math.ceil(joined / math.prod(node.shape)),
    )
