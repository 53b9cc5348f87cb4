"""A network's compiled step with the memory that it works on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from spikewright.borrow import streams_kept
from spikewright.engine import memory
from spikewright.engine.layer import Layer, Shape, State
from spikewright.engine.program import Feedback, Pointwise, part_of
from spikewright.engine.stream.program import Program, common_dtype, structure
from spikewright.engine.stream.source import Node, naming
from spikewright.engine.stream.values import pack
from spikewright.errors import NetworkError, ShapeError

SMALL_WEIGHTS = 1 << 16
"""Bytes of weights that stay in the nearest caches without further ado."""


class Streamed(Protocol):
    """What a stream needs of a network."""

    dt: float
    shape: Shape | None

    @property
    def layers(self) -> Mapping[str, Layer]: ...
    @property
    def sources(self) -> Mapping[str, tuple[str, ...]]: ...
    def check_state(self, state: dict[str, State], batch: int) -> None: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def buffers(self) -> Iterator[Tensor]: ...


P = TypeVar("P", bound=Program)


class Machine(Generic[P]):
    """The memory of a network that runs compiled, its state in it; base of those that run it.

    Args:
        network: built.
        batch: number of samples that run side by side.
        where: name for error messages.
    """

    def __init__(self, network: Streamed, batch: int, where: str) -> None:
        if network.shape is None:
            raise NetworkError(
                f"{where}: the network's input shape must be known, got None. "
                "Call net.build(shape), or run it once."
            )
        self._network, self.batch, self._where = network, batch, where
        self._structure: tuple[Any, ...] = ()

    def _program_of(self, nodes: Sequence[Node], inputs: int) -> P:
        """The program of the network as it is now."""
        raise NotImplementedError

    @torch.inference_mode(False)
    def _compile(self) -> None:
        """Describe, compile and pack the network as it is now, in memory fit for any mode."""
        network = self._network
        assert network.shape is not None
        nodes = [self._node(name) for name in network.layers]
        self._dtype, inputs = common_dtype(nodes, self._where), math.prod(network.shape)
        found = structure(nodes, inputs, self._dtype)
        if found != self._structure:
            self._program = self._program_of(nodes, inputs)
            self._allocate()
            self._structure = found
        pack([node.part for node in nodes], self._weights.numpy())
        self._noise = {
            node.name: node.part.noise
            for node in nodes
            if isinstance(node.part, Pointwise | Feedback) and node.part.noise
        }

    def _allocate(self) -> None:
        """The memory that the program works on."""
        program = self._program
        self._weights = _weight_memory(program.weights, self._dtype)
        self._memory = torch.zeros(self.batch, program.row, dtype=self._dtype)
        self._places = torch.empty(program.row, dtype=torch.int64)
        self._entry = program.entry()
        self._addresses = tuple(t.data_ptr() for t in (self._weights, self._memory, self._places))

    def _node(self, name: str) -> Node:
        with naming(name, self._where):
            return Node(name, part_of(self._network.layers[name]), self._network.sources[name])

    def _layer_states(self) -> dict[str, State]:
        """The state as ``net(x, state)`` returns it, in memory of its own."""
        found = dict(self._state)
        for name, places in self._program.states.items():
            if places:
                leaves, tree = pytree.tree_flatten(found[name])
                numbers = [i for i, leaf in enumerate(leaves) if is_number(leaf)]
                for i, (first, size) in zip(numbers, places, strict=True):
                    row = self._memory[:, first : first + size].reshape(leaves[i].shape)
                    leaves[i] = row.clone(memory_format=torch.contiguous_format)
                found[name] = pytree.tree_unflatten(leaves, tree)
        return found

    def _set_layer_states(self, state: dict[str, State] | None) -> None:
        """Go on from ``state``, or start afresh."""
        with torch.no_grad():
            state = self._fresh() if state is None else self._completed(state)
            for name, places in self._program.states.items():
                numbers = filter(is_number, pytree.tree_leaves(state.get(name)))
                for (first, size), leaf in zip(places, numbers, strict=bool(places)):
                    self._memory[:, first : first + size] = leaf.reshape(self.batch, size)
        self._state = dict(state)

    def _draw(self, steps: int) -> tuple[dict[str, State], Tensor]:
        """Random numbers for some steps, and the state with its places in their streams."""
        if not self._noise:
            return self._state, self._memory
        state, drawn = dict(self._state), list[Tensor]()
        for name, noise in self._noise.items():
            numbers, state[name] = noise(state[name], steps)
            drawn.append(numbers.reshape(steps, self.batch, -1))
        return state, torch.cat(drawn, -1)

    def _fresh(self) -> dict[str, State]:
        layers = self._network.layers
        started = {name: layer.initial_state(self.batch) for name, layer in layers.items()}
        return {name: value for name, value in started.items() if value is not None}

    def _completed(self, state: dict[str, State]) -> dict[str, State]:
        """``state``, checked, with a fresh start for layers that it may leave out."""
        self._network.check_state(state, self.batch)
        with streams_kept():
            fresh = self._fresh()
        for name, value in fresh.items():
            form, given = _form(value), _form(state.get(name, value))
            if form != given:
                raise ShapeError(
                    f"{self._where}: state of layer {name!r} must be what the network returned, "
                    f"{form}, got {given}. Pass None for a fresh start."
                )
        return {**fresh, **state}


def _weight_memory(count: int, dtype: torch.dtype) -> Tensor:
    """Zeros; in huge pages if they outgrow the nearest cache, for rows are read here and there."""
    room = memory.SMALLEST // dtype.itemsize
    large = count * dtype.itemsize > SMALL_WEIGHTS
    return memory.empty((max(count, room) if large else count,), dtype)[:count].zero_()


def is_number(leaf: Any) -> bool:
    """Whether a leaf of a state is numbers that a step changes."""
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def _form(state: State) -> str:
    """How a state is built, in words."""
    return str(pytree.tree_map(lambda t: tuple(t.shape) if isinstance(t, Tensor) else t, state))
