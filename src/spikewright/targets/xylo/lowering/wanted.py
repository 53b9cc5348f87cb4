"""What a network asks of the chip: layers of neurons, what joins them, and when spikes arrive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.compiler.discrete import INPUT, Delayed, DiscreteProgram, Node
from spikewright.targets.core.wiring import LINEAR, Path, apply, layers, neurons, paths

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Layer:
    """Neurons as the network has them, float64.

    v <- a v + sum_k gain_k (i_k + x_k);  i_k <- b_k (i_k + x_k)

    Args:
        decay_mem: a, (n,); decay_syn: b, (n, synapses); gain: (n, synapses).
        threshold: (n,); infinite where the layer does not spike.
    """

    name: str
    decay_mem: Floats
    decay_syn: Floats
    gain: Floats
    threshold: Floats

    @property
    def spiking(self) -> bool:
        """Whether it hands on spikes."""
        return bool(np.isfinite(self.threshold).all())

    @property
    def synapses(self) -> int:
        """Currents of a neuron."""
        return self.gain.shape[1]

    def __len__(self) -> int:
        return len(self.threshold)


@dataclass(frozen=True, eq=False)
class Link:
    """What one layer, or the input, sends to another.

    Args:
        weights: (synapses, sources, targets).
        steps: that spikes take in the network's own account.
        way: names of the operations; equal ways are equal matrices.
    """

    source: str
    target: str
    weights: Floats
    steps: int
    way: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Wanted:
    """A network in the chip's words.

    Args:
        hidden: layers that become hidden neurons, in the order of their places; out: the outputs.
        links: what joins them.
    """

    inputs: int
    hidden: tuple[Layer, ...]
    out: Layer
    links: tuple[Link, ...]

    @cached_property
    def places(self) -> dict[str, slice]:
        """By hidden layer, its neurons among all."""
        ends = np.cumsum([len(layer) for layer in self.hidden])
        return {
            it.name: slice(int(e) - len(it), int(e))
            for it, e in zip(self.hidden, ends, strict=True)
        }

    @cached_property
    def lags(self) -> dict[str, int]:
        """By layer, how many steps later than in the network its spikes come on the chip.

        Each layer behind another one costs a step; of several ways the shortest counts.
        """
        found: dict[str, int] = {}
        for layer in (*self.hidden, self.out):
            ways = [lag_of(link, found) for link in self.links if link.target == layer.name]
            found[layer.name] = min((way for way in ways if way is not None), default=0)
        return found

    def late(self, link: Link) -> int:
        """Steps by which what a link brings comes later than on the shortest way."""
        lag = self.lags[link.target] if link.source == link.target else lag_of(link, self.lags)
        assert lag is not None
        return lag - self.lags[link.target]


def lag_of(link: Link, lags: dict[str, int]) -> int | None:
    """When a link alone lets its target run; one from a layer to itself says nothing of it."""
    if link.source == link.target:
        return None
    return -link.steps if link.source == INPUT else lags[link.source] + 1 - link.steps


def wanted(program: DiscreteProgram) -> Wanted:
    """A program that `check` has found sound, in the chip's words."""
    found = {node.name: layer_of(node) for node in layers(program)}
    out = found.pop(program.output)
    every = {**found, out.name: out}
    links = tuple(_link(program, path, every[path.target]) for path in paths(program))
    return Wanted(math.prod(program.shape), tuple(found.values()), out, links)


def layer_of(node: Node) -> Layer:
    """The neurons of a node, `CubaLIF`, `CubaLI` or `MultiSynapseLIF`."""
    it, count = neurons(node), math.prod(node.shape)
    values = {name.removeprefix("linear."): t for name, t in it.coefficients.items()}

    def each(name: str) -> Floats:
        given = values[name].detach().double().numpy()
        return np.broadcast_to(given, node.shape).reshape(count).copy()

    def several(name: str) -> Floats:
        parts = [name] if name in values else sorted(k for k in values if k.startswith(f"{name}["))
        return np.stack([each(part) for part in parts], -1)

    threshold = each("v_threshold") if it.spiking else np.full(count, np.inf)
    return Layer(node.name, each("decay_mem"), several("decay_syn"), several("gain"), threshold)


def delay(program: DiscreteProgram, path: Path) -> int | None:
    """Steps that spikes take on a path; ``None`` if they differ or are no whole ones."""
    total = path.steps
    for name in path.nodes:
        operation = program.node(name).operation
        if isinstance(operation, Delayed):
            each = (operation.steps + operation.fraction.double()).flatten()
            if bool((each != each[0].round()).any()):
                return None
            total += int(each[0])
    return total


def is_linear(program: DiscreteProgram, path: Path) -> bool:
    """Whether delays of whole steps and one matrix stand for a path."""
    kinds = (*LINEAR, Delayed)
    known = all(isinstance(program.node(name).operation, kinds) for name in path.nodes)
    return known and delay(program, path) is not None


def _link(program: DiscreteProgram, path: Path, layer: Layer) -> Link:
    steps = delay(program, path)
    assert steps is not None
    shape = program.shape if path.source == INPUT else program.node(path.source).shape
    value = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    for name in path.nodes:
        operation = program.node(name).operation
        value = value if isinstance(operation, Delayed) else apply(operation, value)
    matrix = value.flatten(1).numpy()
    weights = matrix.reshape(len(matrix), len(layer), layer.synapses).transpose(2, 0, 1)
    return Link(path.source, path.target, weights, steps, path.nodes)


def aliased(want: Wanted) -> dict[str, str]:
    """By layer, another one that may hand on its spikes: all that it reaches, both do alike.

    The layer with most targets is chosen, and only later ones, so that chains go on upwards.
    """
    found: dict[str, str] = {}
    ways = {layer.name: _ways(want, layer.name) for layer in want.hidden}
    for place, layer in enumerate(want.hidden):
        for other in want.hidden[place + 1 :]:
            theirs, mine = ways[other.name], ways[layer.name]
            best = len(ways[found[layer.name]]) if layer.name in found else 0
            if len(layer) == len(other) and len(theirs) > best and theirs <= mine:
                found[layer.name] = other.name
    return found


def _ways(want: Wanted, source: str) -> set[tuple[str, tuple[str, ...]]]:
    return {(link.target, link.way) for link in want.links if link.source == source}


def direct(want: Wanted, alias: dict[str, str]) -> Sequence[Link]:
    """The links that need weights: all but those that another layer hands on."""
    through = {name: _ways(want, other) for name, other in alias.items()}
    return [it for it in want.links if (it.target, it.way) not in through.get(it.source, set())]
