"""From a NIR graph to a network."""

from __future__ import annotations

import graphlib
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import nir
import torch
from torch import nn

from spikewright.compiler.exchange.arrays import whole
from spikewright.compiler.exchange.connections_in import READERS, read_connection
from spikewright.compiler.exchange.conventions import Conventions, Reading, start_reading
from spikewright.compiler.exchange.cycles import close_cycles
from spikewright.compiler.exchange.files import read_graph
from spikewright.compiler.exchange.inline import inline
from spikewright.compiler.exchange.metadata import unpack
from spikewright.compiler.exchange.neurons import read_neurons
from spikewright.compiler.exchange.nodes import Feedback, Flat, Total
from spikewright.compiler.exchange.report import Notes, Report
from spikewright.connections import Recurrent, Scale
from spikewright.engine.layer import Layer
from spikewright.errors import ExchangeError, SpikewrightError
from spikewright.network import Graph, Network, Sequential
from spikewright.neurons.cuba import Order
from spikewright.neurons.firing import Reset

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Imported:
    """A network that was read, and what had to be assumed."""

    network: Network
    report: Report


def import_nir(
    source: Any,
    *,
    dt: float | None = None,
    shape: Iterable[int] | None = None,
    order: Order | None = None,
    reset: Reset | None = None,
    impulses: Collection[str] | None = None,
    time_unit: float = 1.0,
) -> Imported:
    """Read a network from NIR, and say what NIR left open and how it was settled.

    A graph that this package wrote carries dt, order, reset and the rest in its metadata, and
    comes back as it was. For any other graph the keywords count, and where they are silent the
    defaults: those of the simulators that write NIR.

    Args:
        source: a ``nir.NIRGraph``, or the path of a ``.nir`` file.
        dt: time step, s. Must be given for a graph that does not carry it.
        shape: feature shape of one input; by default that of the graph's Input node.
        order: order of update, ``"euler"`` (default), ``"exact"`` or ``"held"``.
        reset: ``"to_value"`` (default, as NIR's equations say), ``"subtract"`` or ``"none"``.
        impulses: kinds of nodes whose input samples are impulses, which make what they drive jump
            by ``r`` or ``w_in``; those of other kinds are currents that last a step. ``("I",
            "IF")`` by default.
        time_unit: seconds that one unit of the graph's times stands for.

    Returns:
        The network and the report of each assumption.

    Raises:
        ExchangeError: the graph or file cannot be read as a network; names the node.

    Source: Pedersen et al. 2024, "Neuromorphic intermediate representation: a unified instruction
    set for interoperable brain-inspired computing", Nature Communications 15:8122.

    >>> import nir, numpy as np
    >>> lif = nir.LIF(*np.array([[0.125], [1.0], [0.0], [1.0]]))
    >>> print(import_nir(nir.NIRGraph.from_list(lif), dt=1e-3).report)
    reading NIR: 5 assumed
      assumed  network: dt 1 ms, by keyword
      assumed  lif: order 'euler', by default
      assumed  lif: reset 'to_value', by default
      assumed  lif: a sample of the input is a current of one step, by default
      assumed  lif: v starts at v_leak
    """
    stated = Conventions(dt, order, reset, impulses, time_unit)
    graph = read_graph(source) if isinstance(source, str | os.PathLike) else source
    notes = Notes()
    flat = inline(graph)
    carried = unpack("graph", graph)
    reading = start_reading(carried, stated, notes)
    for rest in carried.rest():
        notes.add("network", "lost", f"{rest}, unknown here")
    flat = _named(_without_dead_ends(close_cycles(flat, reading), notes), notes)
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and then overwritten
        network = _build(flat, _input_shape(flat, shape, notes), reading)
    return Imported(network, notes.report("reading NIR"))


class Stated(TypedDict, total=False):
    """The keywords of `import_nir`."""

    dt: float | None
    shape: Iterable[int] | None
    order: Order | None
    reset: Reset | None
    impulses: Collection[str] | None
    time_unit: float


def from_nir(graph: nir.NIRGraph, **stated: Unpack[Stated]) -> Network:
    """The network that a NIR graph describes: `import_nir` without its report.

    Args: see `import_nir`.

    >>> import nir, numpy as np
    >>> graph = nir.NIRGraph.from_list(nir.Linear(np.ones((2, 3))), nir.IF(np.ones(2), np.ones(2)))
    >>> spikes, state = from_nir(graph, dt=1e-3)(torch.ones(4, 1, 3))
    >>> spikes.sum(0).detach()
    tensor([[4., 4.]])
    """
    return import_nir(graph, **stated).network


def read_nir(path: str | os.PathLike[str], **stated: Unpack[Stated]) -> Network:
    """The network in a ``.nir`` file: `import_nir` without its report.

    Reading runs no code of the file and follows no link out of it.

    Args: see `import_nir`.

    >>> import tempfile
    >>> from spikewright import LI
    >>> from spikewright.compiler.exchange import write_nir
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write_nir(Sequential(LI(tau_mem=5e-3), dt=1e-3, shape=(2,)), f"{folder}/li.nir")
    ...     network = read_nir(f"{folder}/li.nir")
    >>> network.dt
    0.001
    """
    return import_nir(path, **stated).network


def _without_dead_ends(flat: Flat, notes: Notes) -> Flat:
    reached = {flat.output}
    waiting = [flat.output]
    while waiting:
        new = [name for name in flat.sources(waiting.pop()) if name not in reached]
        reached.update(new)
        waiting += new
    dead = [name for name in flat.nodes if name not in reached]
    if flat.input in dead:
        raise ExchangeError(
            f"graph: a way must lead from {flat.input!r} to {flat.output!r}, got none. Join them."
        )
    for name in dead:
        notes.add(name, "lost", "nothing of it reaches the output")
    nodes = {name: node for name, node in flat.nodes.items() if name in reached}
    edges = [edge for edge in flat.edges if reached.issuperset(edge)]
    return Flat(nodes, edges, flat.input, flat.output)


def _named(flat: Flat, notes: Notes) -> Flat:
    """Names that a network's layers may have: no dots, and none that a module has already."""
    new: dict[str, str] = {flat.input: "input"}
    for name in flat.nodes:
        if name == flat.input:
            continue
        fit = name.replace(".", "_")
        while fit in new.values() or hasattr(nn.ModuleDict, fit) or hasattr(nn.Module(), fit):
            fit += "_"
        new[name] = fit
        if fit != name and name != flat.output:
            notes.add(fit, "changed", f"renamed, it was {name!r}")
    nodes = {new[name]: node for name, node in flat.nodes.items()}
    edges = [(new[source], new[target]) for source, target in flat.edges]
    return Flat(nodes, edges, new[flat.input], new[flat.output])


def _input_shape(flat: Flat, stated: Iterable[int] | None, notes: Notes) -> Shape:
    given = (getattr(flat.nodes[flat.input], "input_type", None) or {}).get("input")
    own = None if given is None else whole(f"node {flat.input!r} (Input)", "shape", given)
    shape = own if stated is None else tuple(int(size) for size in stated)
    if shape is None or not all(size > 0 for size in shape):
        raise ExchangeError(
            f"node {flat.input!r} (Input): shape must be sizes above zero, got {shape}. State "
            "shape as a keyword."
        )
    if stated is not None and own != shape:
        notes.add("network", "assumed", f"inputs of shape {shape}, by keyword; Input says {own}")
    return shape


def _build(flat: Flat, shape: Shape, reading: Reading) -> Network:
    """The network, layer by layer in running order."""
    flat = _with_total(flat)
    shapes: dict[str, Shape] = {flat.input: shape}
    layers: dict[str, Layer] = {}
    order = graphlib.TopologicalSorter({name: flat.sources(name) for name in flat.nodes})
    for name in order.static_order():
        if name == flat.input:
            continue
        inputs = _meet(name, [(source, shapes[source]) for source in flat.sources(name)])
        if name == flat.output:
            _check_output(name, flat.nodes[name], inputs)
            continue
        layers[name], shapes[name] = _make(name, flat.nodes[name], inputs, reading)
    return _join(flat, layers, reading.dt, shape)


def _with_total(flat: Flat) -> Flat:
    """A network's output is that of one layer which nothing else follows: make it so."""
    sources = flat.sources(flat.output)
    single = len(sources) == 1 and sources[0] != flat.input
    if single and flat.targets(sources[0]) == [flat.output]:
        return flat
    name = "total"
    while name in flat.nodes:
        name += "_"
    edges = [(a, name if b == flat.output else b) for a, b in flat.edges] + [(name, flat.output)]
    return Flat({**flat.nodes, name: Total()}, edges, flat.input, flat.output)


def _meet(name: str, incoming: list[tuple[str, Shape]]) -> Shape:
    if len({shape for _, shape in incoming}) > 1:
        raise ExchangeError(
            f"node {name!r}: what reaches it must have one shape, got {dict(incoming)}. Inputs of "
            "a node are added up; make their shapes equal."
        )
    return incoming[0][1]


def _check_output(name: str, node: Any, shape: Shape) -> None:
    given = (node.output_type or {}).get("output")
    own = None if given is None else whole(f"node {name!r} (Output)", "shape", given)
    if own is not None and own != shape:
        raise ExchangeError(
            f"node {name!r} (Output): shape must be that of what reaches it, {shape}, got {own}. "
            "Correct the graph and read it again."
        )


def _make(name: str, node: Any, shape: Shape, reading: Reading) -> tuple[Layer, Shape]:
    """The layer for a node and the shape of its output."""
    try:
        if isinstance(node, Total):
            layer: Layer = Scale(1.0)
        elif isinstance(node, Feedback):
            cells, inner = _make(name, node.neurons, shape, reading)
            back, returned = _make(node.name, node.connection, inner, reading)
            if returned != shape:
                raise ExchangeError(
                    f"node {name!r}: what comes back through the cycle must have the shape of its "
                    f"input, {shape}, got {returned}. Correct the graph and read it again."
                )
            layer = Recurrent(cells, back)
        elif type(node) in READERS:
            layer = read_connection(name, node, shape, reading)
        else:
            layer = read_neurons(name, node, shape, reading)
        output = layer.output_shape(shape)
        layer.build(shape, reading.dt)
        return layer, output
    except ExchangeError:
        raise
    except SpikewrightError as cause:
        kind = type(node).__name__
        raise ExchangeError(f"node {name!r} ({kind}), input {shape}: {cause}") from cause


def _join(flat: Flat, layers: dict[str, Layer], dt: float, shape: Shape) -> Network:
    chain = all(len(flat.sources(name)) == 1 for name in layers) and all(
        len(flat.targets(name)) == 1 for name in (flat.input, *layers)
    )
    if chain:
        return Sequential(layers, dt=dt, shape=shape)
    edges = [edge for edge in flat.edges if edge[1] != flat.output]
    return Graph(layers, edges, dt=dt, shape=shape)
