"""Which neurons a plastic connection lies between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils import _pytree as pytree

from spikewright.borrow import streams_kept
from spikewright.engine.layer import Layer
from spikewright.engine.program import (
    Competition,
    Feedback,
    MatrixProduct,
    Part,
    Pointwise,
    Same,
)
from spikewright.engine.stream.machine import is_number
from spikewright.engine.stream.source import INPUT, Node
from spikewright.errors import RuleError, nearest

WHERE = "Online"


@dataclass(frozen=True)
class Ends:
    """The neurons before and behind a connection.

    Args:
        source: name of their layer, or ``"input"``.
        target: name of their layer.
        x_v, y_v: which leaf of the layer's state is the membrane, if it has one.
        inputs, outputs: number of neurons.
    """

    source: str
    target: str
    x_v: int | None
    y_v: int | None
    inputs: int
    outputs: int


def find_ends(name: str, nodes: Sequence[Node], layers: Mapping[str, Layer]) -> Ends:
    """The neurons that the connection ``name`` lies between.

    Raises:
        RuleError: there is no such connection, or it cannot be plastic; says why.
    """
    known = {node.name: node for node in nodes}
    if name not in known:
        raise RuleError(
            f"{WHERE}: plastic must name connections of the network, got {name!r}. "
            f"{nearest(name, known)}"
        )
    part = known[name].part
    if not isinstance(part, MatrixProduct):
        raise RuleError(
            f"{WHERE}: a plastic connection must be a Linear, got {name!r}, a "
            f"{type(layers[name]).__name__}. Leave it out, or put a Linear in its place."
        )
    outputs, inputs = part.weight.shape
    source = _source(name, known, layers)
    target = _target(name, nodes, layers)
    neurons = _neurons(known[target].part)
    if neurons != outputs:
        raise RuleError(
            f"{WHERE}: connection {name!r} must have an output for each neuron of {target!r}, got "
            f"{outputs} outputs for {neurons} neurons. Use neurons with one input each."
        )
    x_v = None if source == INPUT else field_place(layers[source], "v")
    return Ends(source, target, x_v, field_place(layers[target], "v"), inputs, outputs)


def field_place(layer: Layer, name: str) -> int | None:
    """Which of the numbers in a layer's state is the field ``name``."""
    with streams_kept():  # a fresh start may draw random numbers
        paths = pytree.tree_flatten_with_path(layer.initial_state(1))[0]
    numbers = [path for path, leaf in paths if is_number(leaf)]
    return next((i for i, path in enumerate(numbers) if _last(path) == name), None)


def _last(path: Sequence[Any]) -> str | None:
    return getattr(path[-1], "name", None) if path else None


def _source(name: str, known: Mapping[str, Node], layers: Mapping[str, Layer]) -> str:
    """Walk back to neurons or to the input."""
    here = name
    while True:
        reader = here
        here, *others = known[reader].sources
        if others:
            raise RuleError(
                f"{WHERE}: connection {name!r} must have one source, got {[here, *others]} at "
                f"layer {reader!r}. Give each of them a connection of its own."
            )
        if here == INPUT or layers[here].spiking:
            return here
        _check_between(name, known[here], layers[here])


def _target(name: str, nodes: Sequence[Node], layers: Mapping[str, Layer]) -> str:
    """Walk on to the neurons."""
    here = name
    while True:
        readers = [node for node in nodes if here in node.sources]
        if len(readers) != 1:
            raise RuleError(
                f"{WHERE}: connection {name!r} must lead to neurons, got "
                f"{[node.name for node in readers]} behind layer {here!r}. Put one layer of "
                "neurons behind it."
            )
        (node,) = readers
        here = node.name
        if layers[here].spiking:
            return here
        _check_between(name, node, layers[here])


def _check_between(name: str, node: Node, layer: Layer) -> None:
    part = node.part
    if isinstance(part, Same) or (isinstance(part, Pointwise) and not part.state):
        return
    raise RuleError(
        f"{WHERE}: between neurons and the plastic connection {name!r} there must be only layers "
        f"that keep each feature by itself, got {node.name!r}, a {type(layer).__name__}. Move it "
        "elsewhere, or leave the connection out."
    )


def _neurons(part: Part) -> int:
    match part:
        case Pointwise():
            return part.neurons
        case Feedback() | Competition():
            return part.neurons.neurons
        case _:
            return 0
