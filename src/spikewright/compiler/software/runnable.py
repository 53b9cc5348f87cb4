"""A discrete program as a network again, run by the engine's kernels."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from spikewright import connections
from spikewright.compiler.carried import carried, is_exact, program_dtype
from spikewright.compiler.discrete import INPUT, DiscreteProgram, Edge, Neurons, Node
from spikewright.compiler.formats import Real, saturated
from spikewright.compiler.software.layer_of import layer_of
from spikewright.compiler.software.layers import SATURATED, Chain, Reshape, Rounding
from spikewright.compiler.tensors import formatted
from spikewright.engine.forward import forward_by
from spikewright.engine.layer import Layer
from spikewright.errors import CompileError
from spikewright.network import Network

ROUNDED = ">"
"""Between the names of a source and a node: the layer that rounds what passes between them."""


class ProgramRun(NamedTuple):
    """What `run_program` returns.

    ``output`` (time, batch, *n); ``records[node][name]`` is a trace, (time, batch, *n);
    ``saturations[node]`` counts numbers that were out of the range of their format: arriving at
    the node, kept in its state, or in its weights.
    """

    output: Tensor
    records: dict[str, dict[str, Tensor]]
    saturations: dict[str, int]


def run_program(
    program: DiscreteProgram,
    x: Tensor,
    record: Iterable[str] = (),
    saturations: bool = False,
) -> ProgramRun:
    """Run a program in software from a fresh start, its number formats included.

    Args:
        x: (time, batch, *features).
        record: ``"spikes"``, ``"counts"`` and names of state fields, as `Network.run` has it.
        saturations: whether to count numbers that leave the range of their format.

    Raises:
        CompileError: the program has a loop other than that of neurons onto themselves.

    >>> import spikewright as sw
    >>> from spikewright.compiler.passes.discretise import discretise
    >>> net = sw.Sequential(sw.Linear(5, 3), sw.LIF(), dt=1e-3).eval()
    >>> x = torch.rand(20, 2, 5)
    >>> bool((run_program(discretise(net), x).output == net(x)[0]).all())
    True
    """
    network = network_of(program)
    asked = {*record}
    wanted = {*asked}
    if saturations:
        fields = {f for layer in network.layers.values() for f in _fields(layer)}
        wanted |= {f for f in fields if f.startswith(SATURATED)}
    with torch.no_grad(), forward_by(None):
        output, _, traces = network.run(x, record=sorted(wanted))
    records = {
        node.name: {k: v for k, v in traces.get(plain(node.name), {}).items() if k in asked}
        for node in program.nodes
    }
    counts = _count(program, traces) if saturations else {}
    return ProgramRun(output, {name: found for name, found in records.items() if found}, counts)


_networks: weakref.WeakKeyDictionary[DiscreteProgram, Network] = weakref.WeakKeyDictionary()


def network_of(program: DiscreteProgram) -> Network:
    """The program as a network of layers, made once; its weights are not learnable.

    Raises:
        CompileError: the program has a loop other than that of neurons onto themselves.
    """
    if program not in _networks:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            _networks[program] = _Assembly(program).network()
    return _networks[program]


@dataclass(frozen=True)
class _Loop:
    """The way from neurons back onto themselves: the nodes on it, and the edge that closes it."""

    path: tuple[Node, ...]
    last: Edge


@dataclass
class _Assembly:
    """The network under construction: layers and where each takes its input from."""

    program: DiscreteProgram
    layers: dict[str, Layer] = field(default_factory=dict[str, Layer])
    sources: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    names: dict[str, str] = field(default_factory=lambda: {INPUT: INPUT})

    def __post_init__(self) -> None:
        self.formats = carried(self.program)
        self.real = Real(program_dtype(self.program.nodes))
        self.loops = _loops(self.program)

    def network(self) -> Network:
        program = self.program
        inside = {node.name for loop in self.loops.values() for node in loop.path}
        if not is_exact(program.input_format, self.real, self.real):
            self.names[INPUT] = f"{INPUT}{ROUNDED}"
            self._add(self.names[INPUT], Rounding(program.input_format), (INPUT,))
        for node in program.nodes:
            if node.name not in inside:
                self._node(node)
        last = self.names[program.output]
        if last != next(reversed(self.layers)):
            self._add("output", Reshape(program.node(program.output).shape), (last,))
        network = Network(self.layers, self.sources, program.dt)
        network.build(program.shape)
        return network.eval()

    def _add(self, name: str, layer: Layer, sources: tuple[str, ...]) -> None:
        self.layers[name], self.sources[name] = layer, sources

    def _layer(self, node: Node) -> Layer:
        return layer_of(node, self.program.dt, self.real.dtype)

    def _node(self, node: Node) -> None:
        layer, loop = self._layer(node), self.loops.get(node.name)
        if loop is not None:
            layer = connections.Recurrent(layer, self._connection(loop))
        name = self.names[node.name] = plain(node.name)
        edges = [e for e in node.edges if loop is None or e is not loop.last]
        self._add(name, layer, tuple(self._source(edge, name) for edge in edges))

    def _source(self, edge: Edge, target: str) -> str:
        source, rounding = self.names[edge.source], self._rounding(edge)
        for layer in rounding:
            name = f"{source}{ROUNDED}{target}"
            while name in self.layers:
                name += "'"
            self._add(name, layer, (source,))
            return name
        return source

    def _connection(self, loop: _Loop) -> Layer:
        """The layers from neurons back onto themselves, with the roundings between them."""
        made: list[Layer] = []
        for node in loop.path:
            made += [*self._rounding(node.edges[0]), self._layer(node)]
        made += self._rounding(loop.last)
        return made[0] if len(made) == 1 else Chain(*made)

    def _rounding(self, edge: Edge) -> list[Layer]:
        exact = is_exact(edge.format, self.formats[edge.source], self.real)
        return [] if exact else [Rounding(edge.format)]


def plain(name: str) -> str:
    """The name of the layer that runs a node."""
    return name.replace(".", "/")


def _loops(program: DiscreteProgram) -> dict[str, _Loop]:
    """The loops by the name of their neurons."""
    readers = Counter(edge.source for node in program.nodes for edge in node.edges)
    readers[program.output] += 1
    found: dict[str, _Loop] = {}
    for node in program.nodes:
        for last in node.edges if isinstance(node.operation, Neurons) else ():
            path: list[Node] = []
            edge = last
            while edge.steps == 0 and edge.source != INPUT and readers[edge.source] == 1:
                before = program.node(edge.source)
                if len(before.edges) != 1 or isinstance(before.operation, Neurons):
                    break
                path.insert(0, before)
                edge = before.edges[0]
            if edge.steps == 1 and edge.source == node.name and node.name not in found:
                found[node.name] = _Loop(tuple(path), last)
    _check_loops(program, found)
    return found


def _check_loops(program: DiscreteProgram, found: dict[str, _Loop]) -> None:
    closed = {id(e) for it in found.values() for e in (it.last, *(n.edges[0] for n in it.path))}
    for node in program.nodes:
        for edge in node.edges:
            if edge.steps and id(edge) not in closed:
                raise CompileError(
                    f"compiler.run: a value of the step before must come from neurons and lead "
                    f"back to them alone, got {edge.source!r} to {node.name!r}. "
                    "Run the program with compiler.reference.run_reference."
                )


def _count(program: DiscreteProgram, traces: Mapping[str, Mapping[str, Tensor]]) -> dict[str, int]:
    """Numbers out of range by node, its weights included."""
    counts = dict.fromkeys((node.name for node in program.nodes), 0)
    names = {plain(name): name for name in (INPUT, *counts)}
    for layer, found in traces.items():
        node = names.get(layer.rstrip("'").rpartition(ROUNDED)[2] or INPUT, INPUT)
        total = sum(int(t.sum()) for key, t in found.items() if key.startswith(SATURATED))
        counts[node] = counts.get(node, 0) + total
    for node in program.nodes:
        for value, form in formatted(node):
            counts[node.name] += int(saturated(value, form).sum())
    return counts


def _fields(layer: Layer) -> tuple[str, ...]:
    return getattr(layer, "field_names", tuple)()
