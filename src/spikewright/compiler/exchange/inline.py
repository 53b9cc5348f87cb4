"""A NIR graph checked node by node and edge by edge, its subgraphs set into it."""

from __future__ import annotations

from typing import Any

import nir

from spikewright.compiler.exchange.nodes import Edge, Flat
from spikewright.errors import ExchangeError

DEPTH = 32
KINDS = (
    nir.Affine, nir.AvgPool2d, nir.Conv1d, nir.Conv2d, nir.CubaLI, nir.CubaLIF, nir.Delay,
    nir.Flatten, nir.I, nir.IF, nir.Input, nir.LI, nir.LIF, nir.Linear, nir.NIRGraph, nir.Output,
    nir.Scale, nir.SumPool2d, nir.Threshold,
)  # fmt: skip
NAMES = tuple(kind.__name__ for kind in KINDS)


def inline(graph: Any) -> Flat:
    """The graph without subgraphs; a node of one is called ``"subgraph.node"``.

    Raises:
        ExchangeError: an unknown node, an edge to nowhere or given twice, or a graph that has not
            one input and one output; names them.
    """
    if not isinstance(graph, nir.NIRGraph):
        raise ExchangeError(
            f"graph: it must be a NIRGraph, got {type(graph).__name__}. Put a single node between "
            "an Input and an Output."
        )
    nodes, edges = _spread(graph, "", 0)
    ends = {kind: _only(graph, kind) for kind in (nir.Input, nir.Output)}
    flat = Flat(nodes, edges, ends[nir.Input], ends[nir.Output])
    for name in [name for name in nodes if name not in ends.values() and _is_end(nodes[name])]:
        flat = _splice(flat, name)
    _check_fed(flat)
    return flat


def _spread(graph: Any, prefix: str, depth: int) -> tuple[dict[str, Any], list[Edge]]:
    """All nodes and edges, with the Inputs and Outputs of subgraphs still in place."""
    if depth > DEPTH:
        raise ExchangeError(
            f"graph: subgraphs must lie at most {DEPTH} deep, got more in {prefix[:60]!r}. Set "
            "them into each other."
        )
    nodes: dict[str, Any] = {}
    edges: list[Edge] = []
    entry: dict[str, str] = {}
    leave: dict[str, str] = {}
    for key, node in _named(graph, prefix).items():
        name = prefix + key
        if type(node) not in KINDS:
            raise ExchangeError(
                f"node {name!r}: its kind must be one of {', '.join(NAMES)}, got "
                f"{type(node).__name__}. Express it by those."
            )
        entry[key] = leave[key] = name
        if isinstance(node, nir.NIRGraph):
            inner, wires = _spread(node, f"{name}.", depth + 1)
            nodes |= inner
            edges += wires
            entry[key] = f"{name}.{_only(node, nir.Input, name)}"
            leave[key] = f"{name}.{_only(node, nir.Output, name)}"
        else:
            nodes[name] = node
    for source, target in _pairs(graph, prefix):
        _check_edge(source, target, entry, prefix)
        edges.append((leave[source], entry[target]))
    return nodes, edges


def _named(graph: Any, prefix: str) -> dict[str, Any]:
    nodes = graph.nodes
    if not isinstance(nodes, dict) or not all(isinstance(key, str) and key for key in nodes):
        raise ExchangeError(
            f"graph {prefix!r}: nodes must be a dict with non-empty names, got "
            f"{type(nodes).__name__}. Name every node."
        )
    return nodes


def _pairs(graph: Any, prefix: str) -> list[Edge]:
    found: list[Edge] = []
    for edge in graph.edges:
        pair = tuple(str(end) for end in edge)
        if len(pair) != 2 or pair in found:
            raise ExchangeError(
                f"graph {prefix!r}: edges must be pairs of names, each pair once, got {pair}. "
                "Correct the edge, or put a Scale where an input is to count twice."
            )
        found.append((pair[0], pair[1]))
    return found


def _check_edge(source: str, target: str, known: dict[str, str], prefix: str) -> None:
    for name in (source, target):
        if name not in known:
            raise ExchangeError(
                f"edge {prefix + source!r} -> {prefix + target!r}: both ends must be nodes, got "
                f"{name!r}, which there is none of. Known: {', '.join(sorted(known))}."
            )


def _only(graph: Any, kind: Any, where: str = "graph") -> str:
    found = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    if len(found) != 1:
        raise ExchangeError(
            f"{where}: it must have exactly one {kind.__name__} node, got {found or 'none'}. A "
            "network has one input and one output; add the node or join several into one."
        )
    return found[0]


def _is_end(node: Any) -> bool:
    return isinstance(node, nir.Input | nir.Output)


def _splice(flat: Flat, name: str) -> Flat:
    """Without the Input or Output of a subgraph: its neighbours joined directly."""
    joined = [(source, target) for source in flat.sources(name) for target in flat.targets(name)]
    rest = [edge for edge in flat.edges if name not in edge]
    doubled = [edge for edge in joined if edge in rest]
    if doubled:
        raise ExchangeError(
            f"edge {doubled[0][0]!r} -> {doubled[0][1]!r}: two nodes must be joined once, got a "
            f"second way through {name!r}. Put a Scale where an input is to count twice."
        )
    nodes = {key: node for key, node in flat.nodes.items() if key != name}
    return Flat(nodes, rest + joined, flat.input, flat.output)


def _check_fed(flat: Flat) -> None:
    unfed = [name for name in flat.nodes if name != flat.input and not flat.sources(name)]
    if unfed:
        raise ExchangeError(
            f"graph: every node must have an incoming edge, got none for {unfed}. Join them to "
            "the input or to another node, or take them away."
        )
    if flat.sources(flat.input) or flat.targets(flat.output):
        raise ExchangeError(
            f"graph: no edge may lead into {flat.input!r} or out of {flat.output!r}, got "
            f"{flat.sources(flat.input) + flat.targets(flat.output)}. Turn the edge round."
        )
