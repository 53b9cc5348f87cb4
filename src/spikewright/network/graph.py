"""Layers joined by edges."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping

from spikewright.engine.layer import Layer
from spikewright.errors import NetworkError, nearest
from spikewright.network.base import INPUT, Network


class Graph(Network):
    """Layers joined by edges, for skip connections and branches.

    Args:
        layers: layers by name.
        edges: pairs of names (from, to); ``"input"`` is the network's input. Edges that meet at
            a layer are added up. The one layer without an outgoing edge gives the output.
        dt: time step in seconds, for all layers.
        shape: feature shape of one input; taken from the first input if left out.

    Raises:
        NetworkError: an unknown name, a cycle, a layer that nothing reaches, or several outputs.

    >>> import torch
    >>> from spikewright import LIF, Linear
    >>> net = Graph(
    ...     {"in": Linear(4, 4), "a": LIF(), "b": Linear(4, 4), "out": LIF()},
    ...     edges=[("input", "in"), ("in", "a"), ("a", "b"), ("b", "out"), ("a", "out")],
    ...     dt=1e-3,
    ... )
    >>> net(torch.rand(10, 2, 4))[0].shape
    torch.Size([10, 2, 4])
    """

    def __init__(
        self,
        layers: Mapping[str, Layer],
        edges: Iterable[tuple[str, str]],
        *,
        dt: float,
        shape: Iterable[int] | None = None,
    ) -> None:
        sources = _sources(layers, edges)
        super().__init__({name: layers[name] for name in sources}, sources, dt)
        if shape is not None:
            self.build(shape)


def _sources(
    layers: Mapping[str, Layer], edges: Iterable[tuple[str, str]]
) -> dict[str, tuple[str, ...]]:
    """For each layer, in running order, where its input comes from."""
    found: dict[str, list[str]] = {name: [] for name in layers}
    starts: set[str] = set()
    for source, target in edges:
        for name in (source, target):
            if name not in layers and (name != INPUT or name == target):
                known = list(layers) if name == INPUT else [INPUT, *layers]
                raise NetworkError(
                    f"Graph: edges must join layers, got {name!r} in {(source, target)}. "
                    f"{nearest(name, known)}"
                )
        found[target].append(source)
        starts.add(source)
    lonely = [name for name, sources in found.items() if not sources]
    if lonely:
        raise NetworkError(
            f"Graph: every layer must have an incoming edge, got none for {lonely}. "
            "Join it to 'input' or to another layer."
        )
    ends = [name for name in layers if name not in starts]
    order = _order(found)
    if len(ends) != 1:
        raise NetworkError(
            f"Graph: exactly one layer must have no outgoing edge, got {ends}. "
            "That layer gives the output; join the others to it."
        )
    order.remove(ends[0])
    return {name: tuple(found[name]) for name in [*order, ends[0]]}


def _order(sources: Mapping[str, list[str]]) -> list[str]:
    try:
        order = graphlib.TopologicalSorter(sources).static_order()
        return [name for name in order if name != INPUT]
    except graphlib.CycleError as cause:
        raise NetworkError(
            f"Graph: edges must not form a cycle, got {' -> '.join(cause.args[1])}. "
            "Use Recurrent(neuron, connection) for feedback."
        ) from cause
