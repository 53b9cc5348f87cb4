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

from spikewright.compiler.design import bias_of
from spikewright.compiler.discrete import INPUT, DiscreteProgram, Neurons, Operation
from spikewright.engine.program import Convolution, MatrixProduct, WindowSum
from spikewright.targets.core.wiring import (
    LINEAR,
    MOST_ENTRIES,
    Path,
    apply,
    layers,
    neurons,
    paths,
)

__all__ = [
    "MOST_ENTRIES", "Path", "Projection", "apply", "biased", "is_bias", "is_plain", "is_repeated",
    "is_sound", "layers", "neurons", "paths", "projections", "size",
]  # fmt: skip

MODELS = ("CubaLIF", "CubaLI")
"""Neurons that a circuit can be."""


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


def is_sound(program: DiscreteProgram) -> bool:
    """Whether circuits and matrices can stand for all of a program."""
    known = all(neurons(node).model in MODELS for node in layers(program))
    return known and all(is_plain(program, path) for path in paths(program))


def size(program: DiscreteProgram, name: str) -> int:
    """How many channels a layer, the input or a bias has."""
    if is_bias(name):
        return 1
    return math.prod(program.shape if name == INPUT else program.node(name).shape)


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


def _of_ones(operation: Operation) -> Operation:
    """The operation with every weight one, which shows what it joins."""
    if isinstance(operation, MatrixProduct | Convolution):
        return replace(operation, weight=torch.ones_like(operation.weight))
    return replace(operation, factor=1.0) if isinstance(operation, WindowSum) else operation
