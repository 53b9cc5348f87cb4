"""Several populations of a cycle as one: what E and I do to each other in a single matrix."""

from __future__ import annotations

import dataclasses
from typing import Any

import nir
import numpy as np

from spikewright.compiler.exchange.arrays import Values, axes, for_features
from spikewright.compiler.exchange.conventions import Reading
from spikewright.compiler.exchange.metadata import unpack
from spikewright.compiler.exchange.neurons import OF_NODE
from spikewright.compiler.exchange.nodes import Cycle, DelayedWeights, Flat, Trail
from spikewright.compiler.exchange.paths import count_neurons, follow
from spikewright.errors import ExchangeError

Places = dict[str, slice]


def join_populations(flat: Flat, cycle: Cycle, reading: Reading) -> tuple[Flat, Cycle]:
    """The graph with one population in place of several, and the cycle that is left.

    Raises:
        ExchangeError: the populations are of different kinds or conventions, or lie on several
            axes; names them.
    """
    names, trails = cycle.populations, cycle.trails
    joint = "_and_".join(names)
    while joint in flat.nodes:
        joint += "_"
    joined = _joined(flat, names)
    places = _places(flat, names)
    total = places[names[-1]].stop
    inner = {node for trail in trails for node in trail}
    nodes = {key: node for key, node in flat.nodes.items() if key not in inner}
    edges = [edge for edge in flat.edges if not inner.intersection(edge)]
    nodes[joint] = joined
    ways: list[Trail] = []
    for k, trail in enumerate(trails):
        path, way = follow(flat, trail, reading), f"{joint}.way{k}"
        rows, columns = places[trail[-1]], places[trail[0]]
        (weight, delays), bias = np.zeros((2, total, total)), np.zeros(total)
        weight[rows, columns], delays[rows, columns] = path.weight, path.delays
        bias[rows] = path.bias
        nodes[way] = DelayedWeights(weight, delays, bias, path.rounded)
        edges += [(joint, way), (way, joint)]
        ways.append((joint, way, joint))
    result = Flat(nodes, edges, flat.input, flat.output)
    for name in names:
        _lead_in(flat, result, name, joint, (places[name], total))
        _lead_out(flat, result, name, joint, (places[name], total))
    text = ", ".join(f"{name!r} {p.start} to {p.stop - 1}" for name, p in places.items())
    reading.notes.add(joint, "changed", f"populations joined into one: {text}")
    return result, Cycle((joint,), tuple(ways))


def _places(flat: Flat, names: Trail) -> Places:
    places: Places = {}
    start = 0
    for name in names:
        count = count_neurons(flat, name)
        places[name] = slice(start, start + count)
        start += count
    return places


def _joined(flat: Flat, names: Trail) -> Any:
    """One node with the parameters of all."""
    first = flat.nodes[names[0]]
    for name in names[1:]:
        node = flat.nodes[name]
        same = unpack(name, node).values == unpack(names[0], first).values
        if type(node) is not type(first) or not same:
            raise ExchangeError(
                f"cycle {' -> '.join(names)}: populations in one cycle must be of one kind with "
                f"the same conventions, got {type(first).__name__} {names[0]!r} and "
                f"{type(node).__name__} {name!r}. Use one model for both."
            )
    fields = [*OF_NODE[type(first)].names.values()]
    fields += ["w_in"] if any(f.name == "w_in" for f in dataclasses.fields(first)) else []
    values = {key: np.concatenate([_each(flat, name, key) for name in names]) for key in fields}
    return type(first)(**values, metadata=first.metadata)


def _each(flat: Flat, name: str, field: str) -> Values:
    shape = (count_neurons(flat, name),)
    node = flat.nodes[name]
    where = f"node {name!r} ({type(node).__name__})"
    return np.broadcast_to(for_features(where, field, getattr(node, field), shape), shape)


def _lead_in(flat: Flat, result: Flat, name: str, joint: str, place: tuple[slice, int]) -> None:
    """Let what reached a population reach its part of the joint one."""
    rows, total = place
    pick = np.eye(total)[:, rows]
    for source in flat.sources(name):
        if source not in result.nodes:
            continue
        node = result.nodes[source]
        if isinstance(node, nir.Linear | nir.Affine) and flat.targets(source) == [name]:
            result.nodes[source] = _product(source, node, pick, None)
            result.edges.append((source, joint))
        else:
            way = f"{source}_to_{name}"
            result.nodes[way] = nir.Linear(pick)
            result.edges.extend([(source, way), (way, joint)])


def _lead_out(flat: Flat, result: Flat, name: str, joint: str, place: tuple[slice, int]) -> None:
    """Let a part of the joint population reach what the population reached."""
    columns, total = place
    pick = np.eye(total)[columns]
    others: list[str] = []
    for target in flat.targets(name):
        if target not in result.nodes:
            continue
        node = result.nodes[target]
        if isinstance(node, nir.Linear | nir.Affine) and flat.sources(target) == [name]:
            result.nodes[target] = _product(target, node, None, pick)
            result.edges.append((joint, target))
        else:
            others.append(target)
    if others:
        result.nodes[name] = nir.Linear(pick)
        result.edges.append((joint, name))
        result.edges.extend((name, target) for target in others)


def _product(name: str, node: Any, before: Values | None, after: Values | None) -> Any:
    """``before`` times the node's product times ``after``."""
    where = f"node {name!r} ({type(node).__name__})"
    weight = axes(where, "weight", node.weight, 2)
    weight = weight if before is None else _matched(where, before, weight)
    weight = weight if after is None else _matched(where, weight, after)
    if isinstance(node, nir.Linear):
        return nir.Linear(weight, metadata=node.metadata)
    bias = axes(where, "bias", node.bias, 1)
    bias = bias if before is None else _matched(where, before, bias)
    return nir.Affine(weight, bias, metadata=node.metadata)


def _matched(where: str, left: Values, right: Values) -> Values:
    if left.shape[1] != right.shape[0]:
        raise ExchangeError(
            f"{where}: weight must fit the population it is joined to, {left.shape} times "
            f"{right.shape}. Correct the graph and read it again."
        )
    return left @ right
