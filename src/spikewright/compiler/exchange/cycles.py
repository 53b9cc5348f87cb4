"""Cycles of a graph, closed into recurrent neurons.

In a cycle, what neurons hand out reaches the next neurons one step later, on every edge between
populations alike, or after the time that Delay nodes on the way say where that is longer. So the
meaning of a graph does not depend on the order in which its nodes are listed.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from spikewright.compiler.exchange.arrays import numbers
from spikewright.compiler.exchange.conventions import Reading
from spikewright.compiler.exchange.metadata import unpack
from spikewright.compiler.exchange.neurons import OF_NODE
from spikewright.compiler.exchange.nodes import Cycle, DelayedWeights, Feedback, Flat, Trail
from spikewright.compiler.exchange.paths import Path, follow
from spikewright.compiler.exchange.populations import join_populations
from spikewright.errors import ExchangeError
from spikewright.units import format_seconds


def close_cycles(flat: Flat, reading: Reading) -> Flat:
    """The graph with each cycle replaced by one `Feedback` node; what is left has none.

    Raises:
        ExchangeError: a cycle that no neurons are in, or one that cannot be said by one recurrent
            layer; names its nodes.
    """
    for members in _strong_components(flat):
        cycle = _trace(flat, members)
        if len(cycle.populations) > 1:
            flat, cycle = join_populations(flat, cycle, reading)
        flat = _close(flat, cycle, reading)
    return flat


def _strong_components(flat: Flat) -> list[list[str]]:
    """The sets of nodes that reach each other, those of one node without a loop left out."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = list(flat.nodes)
    place = {name: k for k, name in enumerate(names)}
    rows, columns = ([place[edge[end]] for edge in flat.edges] for end in (0, 1))
    size = (len(names), len(names))
    matrix = coo_array((np.ones(len(rows)), (rows, columns)), shape=size)
    labels = connected_components(matrix, connection="strong")[1]
    groups: dict[int, list[str]] = {}
    for name, label in zip(names, labels, strict=True):
        groups.setdefault(int(label), []).append(name)
    return [g for g in groups.values() if len(g) > 1 or (g[0], g[0]) in flat.edges]


def _trace(flat: Flat, members: list[str]) -> Cycle:
    populations = tuple(name for name in members if type(flat.nodes[name]) in OF_NODE)
    between = [name for name in members if name not in populations]
    for name in between:
        outside = [n for n in flat.sources(name) + flat.targets(name) if n not in members]
        if outside:
            raise _refused(
                members, f"{name!r} lies inside a cycle and is joined to {outside} outside it",
                "Give the outside a node of its own with the same numbers.",
            )  # fmt: skip
    trails: list[Trail] = []
    for start in populations:
        trails += _trails(flat, members, populations, (start,))
    walked = {name for trail in trails for name in trail}
    if not populations or not walked >= set(members):
        raise _refused(
            [name for name in members if name not in walked] or members,
            "a cycle without neurons has no first value to start from",
            "Put neurons into the cycle.",
        )
    return Cycle(populations, tuple(trails))


def _trails(flat: Flat, members: list[str], ends: Trail, sofar: Trail) -> list[Trail]:
    """All ways on from a trail to the next population."""
    found: list[Trail] = []
    for name in flat.targets(sofar[-1]):
        if name in sofar[1:]:
            raise _refused(
                list(sofar[1:]), "a cycle without neurons has no first value to start from",
                "Put neurons into the cycle.",
            )  # fmt: skip
        if name in ends:
            found.append((*sofar, name))
        elif name in members:
            found += _trails(flat, members, ends, (*sofar, name))
    return found


def _close(flat: Flat, cycle: Cycle, reading: Reading) -> Flat:
    """Put the one population of a cycle and what leads back to it into one node."""
    name = cycle.populations[0]
    inner = {node for trail in cycle.trails for node in trail} - {name}
    closed = Feedback(
        flat.nodes[name], _connection(flat, name, cycle.trails, reading), f"{name} (feedback)"
    )
    nodes = {key: node for key, node in flat.nodes.items() if key not in inner}
    nodes[name] = closed
    edges = [edge for edge in flat.edges if edge != (name, name) and not inner.intersection(edge)]
    return Flat(nodes, edges, flat.input, flat.output)


def _connection(flat: Flat, name: str, trails: tuple[Trail, ...], reading: Reading) -> Any:
    between = [flat.nodes[node] for node in trails[0][1:-1]]
    if len(trails) == 1 and len(between) <= 1:
        if not between:
            _note_step(name, reading)
            return nir.Scale(np.ones(()))
        if isinstance(between[0], nir.Delay):
            return _shorten(trails[0][1], between[0], reading)
        if not isinstance(between[0], DelayedWeights):
            _note_step(name, reading)
            return between[0]
    total = _sum([follow(flat, trail, reading) for trail in trails], name)
    if not total.delays.any():
        _note_step(name, reading)
        biased = bool(total.bias.any())
        return nir.Affine(total.weight, total.bias) if biased else nir.Linear(total.weight)
    if (total.delays[total.weight != 0] == 0).any():
        _note_step(name, reading)
    delays = np.maximum(total.delays - reading.dt, 0.0)
    return DelayedWeights(total.weight, delays, total.bias, total.rounded)


def _sum(paths: list[Path], name: str) -> Path:
    total = paths[0]
    for path in paths[1:]:
        both = (total.weight != 0) & (path.weight != 0)
        if (total.delays != path.delays)[both].any():
            raise _refused(
                [name], "two ways of different delay join the same neurons",
                "Give each way neurons of its own.",
            )  # fmt: skip
        delays = np.where(path.weight != 0, path.delays, total.delays)
        weight, bias = total.weight + path.weight, total.bias + path.bias
        total = Path(weight, delays, bias, total.rounded and path.rounded)
    return total


def _shorten(name: str, node: Any, reading: Reading) -> Any:
    """A delay less the step that closing the cycle takes."""
    unit = reading.stated.time_unit
    delay = numbers(f"node {name!r} (Delay)", "delay", node.delay) * unit
    if (delay < reading.dt * (1 - 1e-6)).any():
        _note_step(name, reading)
    shorter = np.maximum(delay - reading.dt, 0.0) / unit
    unpack(f"node {name!r} (Delay)", node)
    return nir.Delay(shorter, metadata=node.metadata)


def _note_step(name: str, reading: Reading) -> None:
    step = format_seconds(reading.dt)
    reading.notes.add(name, "assumed", f"feedback without a Delay arrives one step, {step}, later")


def _refused(names: list[str], fault: str, way_out: str) -> ExchangeError:
    return ExchangeError(
        f"cycle {' -> '.join(names)}: a cycle must be neurons and the weights between them, got "
        f"one where {fault}. {way_out}"
    )
