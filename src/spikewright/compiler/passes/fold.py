"""Batch norm, scales and the factors of average pooling put into the weights beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from spikewright.compiler.carried import carried, is_exact, program_dtype, with_carried_formats
from spikewright.compiler.design import Design
from spikewright.compiler.discrete import (
    INPUT,
    Affine,
    Convolution,
    DelayedProduct,
    DiscreteProgram,
    Edge,
    MatrixProduct,
    Node,
    Reshape,
    Shape,
    WindowSum,
)
from spikewright.compiler.formats import Real
from spikewright.compiler.passes.folding import Product, per_channel, scaled_after, scaled_before


@dataclass(frozen=True)
class Fold:
    """Put what scales and shifts into the product before it, or else into the one behind it.

    ``scale (W x + b) + shift = (scale W) x + (scale b + shift)``, and
    ``W (scale x + shift) + b = (W scale) x + (W shift + b)``.

    A folded product differs by rounding alone: at most ``(n + 4) u`` times the sum of the
    magnitudes of what it adds up, with n terms and u = 2^-24 in float32. What stands between a
    node and a product and only reshapes is no obstacle. What cannot be folded stays, and a note
    says why; a pass that sets number formats comes after this one.

    >>> import torch, spikewright as sw
    >>> from spikewright.compiler.passes.discretise import discretise
    >>> net = sw.Sequential(sw.Linear(3, 2), sw.BatchNorm(), sw.LIF(), dt=1e-3).eval()
    >>> design = Fold().apply(Design(discretise(net)))
    >>> [node.name for node in design.program.nodes], design.notes
    (['0_linear', '2_lif'], ("fold: '1_batchnorm' was put into '0_linear'",))
    """

    @property
    def name(self) -> str:
        return "fold"

    def apply(self, design: Design) -> Design:
        """Fold all that can be folded."""
        graph = _Graph(design.program)
        notes: list[str] = []
        while (note := _fold_one(graph)) is not None:
            notes.append(f"fold: {note}")
        left = (node.name for node in graph.program.nodes if _factors(node) is not None)
        notes += [f"fold: {name!r} stays: {_RULE}" for name in left]
        return design.noting(*notes, program=graph.made())


_RULE = (
    "beside it must be a product that nothing else reads, with one number for each channel, and "
    "for a shift before it no zeros around the image"
)


class _Factors(NamedTuple):
    """What a node multiplies by and adds; a shift of ``None`` is zero."""

    scale: Tensor
    shift: Tensor | None


def _factors(node: Node) -> _Factors | None:
    """The factors of a node that could be folded."""
    operation = node.operation
    if isinstance(operation, Affine):
        shift = operation.shift
        nothing = shift.ndim == 0 and float(shift) == 0
        return _Factors(operation.scale, None if nothing else shift)
    if isinstance(operation, WindowSum) and operation.factor != 1:
        return _Factors(torch.tensor(operation.factor, dtype=torch.float64), None)
    return None


@dataclass
class _Graph:
    """A program whose nodes can be changed."""

    program: DiscreteProgram

    def __post_init__(self) -> None:
        self.formats, self.real = carried(self.program), Real(program_dtype(self.program.nodes))
        edges = [edge for node in self.program.nodes for edge in node.edges]
        self.untouched = all(map(self.is_exact, edges))

    def made(self) -> DiscreteProgram:
        return with_carried_formats(self.program) if self.untouched else self.program

    def is_exact(self, edge: Edge) -> bool:
        return is_exact(edge.format, self.formats[edge.source], self.real)

    def is_plain(self, edge: Edge) -> bool:
        """Whether an edge hands this step's value of a node on as it is."""
        return edge.steps == 0 and edge.source != INPUT and self.is_exact(edge)

    def reader(self, name: str) -> Node | None:
        """The one node that reads a node, by one plain edge; ``None`` if it is not so."""
        found = [(n, e) for n in self.program.nodes for e in n.edges if e.source == name]
        if self.program.output == name or len(found) != 1 or not self.is_plain(found[0][1]):
            return None
        return found[0][0]

    def product_before(self, edge: Edge) -> Node | None:
        """The product whose output an edge brings, reshaped at most, and brings nowhere else."""
        while self.is_plain(edge) and self.reader(edge.source) is not None:
            node = self.program.node(edge.source)
            if not (isinstance(node.operation, Reshape) and len(node.edges) == 1):
                return node if _is_product(node) else None
            edge = node.edges[0]
        return None

    def product_behind(self, node: Node) -> Node | None:
        """The product that alone gets the output of a node, reshaped at most, and nothing else."""
        found = self.reader(node.name)
        while found is not None and len(found.edges) == 1:
            if not isinstance(found.operation, Reshape):
                return found if _is_product(found) else None
            found = self.reader(found.name)
        return None

    def replace(self, node: Node) -> None:
        """Put a node in the place of the one of its name."""
        nodes = tuple(node if n.name == node.name else n for n in self.program.nodes)
        self.program = replace(self.program, nodes=nodes)

    def remove(self, node: Node) -> None:
        """Let those that read a node read what it reads."""
        nodes: list[Node] = []
        for other in self.program.nodes:
            edges = (_through(node, e) if e.source == node.name else (e,) for e in other.edges)
            if other.name != node.name:
                nodes.append(replace(other, edges=tuple(chain(*edges))))
        self.program = replace(self.program, nodes=tuple(nodes))


def _through(node: Node, edge: Edge) -> Iterator[Edge]:
    """The edges of a node, for a reader that had ``edge`` from it."""
    return (replace(e, steps=max(e.steps, edge.steps)) for e in node.edges)


def _is_product(node: Node) -> bool:
    product = isinstance(node.operation, MatrixProduct | Convolution | DelayedProduct)
    return product and node.weight_format is None


def _fold_one(graph: _Graph) -> str | None:
    """Fold the first node that can be, and say so."""
    for node in graph.program.nodes:
        factors = _factors(node)
        if factors is not None:
            into = _fold_back(graph, node, factors) or _fold_on(graph, node, factors)
            if into is not None:
                return f"{node.name!r} was put into {into}"
    return None


def _fold_back(graph: _Graph, node: Node, factors: _Factors) -> str | None:
    """Put a node's factors into the products before it; a shift into the first of them."""
    made: list[Node] = []
    for edge in node.edges:
        before = graph.product_before(edge)
        own = None if before is None else _channels(factors, node.shape, before.shape[0])
        if before is None or own is None:
            return None
        shift = None if made else own.shift
        made.append(replace(before, operation=scaled_after(_product(before), own.scale, shift)))
    for product in made:
        graph.replace(product)
    # an output stays, as a reshape: its name is that of the network's last layer
    needed = len(made) > 1 or node.name == graph.program.output
    if isinstance(node.operation, Affine) and not needed:
        graph.remove(node)
    else:
        graph.replace(_without(node))
    return _names(made)


def _fold_on(graph: _Graph, node: Node, factors: _Factors) -> str | None:
    """Put a node's factors into the product behind it."""
    behind = graph.product_behind(node)
    if behind is None:
        return None
    inputs = graph.program.node(behind.edges[0].source).shape
    own = _channels(factors, node.shape, inputs[0])
    made = None if own is None else scaled_before(_product(behind), own.scale, own.shift)
    if made is None:
        return None
    graph.replace(replace(behind, operation=made))
    if isinstance(node.operation, Affine):
        graph.remove(node)
    else:
        graph.replace(_without(node))
    return _names([behind])


def _without(node: Node) -> Node:
    """A node that hands on the sum that it gets, or that of its windows, as it is."""
    operation = node.operation
    if isinstance(operation, WindowSum):
        return replace(node, operation=replace(operation, factor=1.0))
    return replace(node, operation=Reshape())


def _product(node: Node) -> Product:
    assert isinstance(node.operation, MatrixProduct | Convolution | DelayedProduct)
    return node.operation


def _channels(factors: _Factors, shape: Shape, channels: int) -> _Factors | None:
    """The factors of each channel; ``None`` if they differ within one."""
    scale = per_channel(factors.scale, shape, channels)
    if factors.shift is None or scale is None:
        return None if scale is None else _Factors(scale, None)
    shift = per_channel(factors.shift, shape, channels)
    return None if shift is None else _Factors(scale, shift)


def _names(nodes: list[Node]) -> str:
    return ", ".join(repr(node.name) for node in nodes)
