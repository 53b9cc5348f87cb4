"""A network that takes one step at a time, compiled into one kernel."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from spikewright.borrow import streams_kept
from spikewright.engine import memory
from spikewright.engine.checks import check_finite, check_sequence
from spikewright.engine.layer import Layer, Shape, State
from spikewright.engine.program import Feedback, Pointwise, part_of
from spikewright.engine.stream.program import common_dtype, make_program, structure
from spikewright.engine.stream.source import Node, naming
from spikewright.engine.stream.values import pack
from spikewright.errors import BackendError, NetworkError, ShapeError

SMALL_WEIGHTS = 1 << 16
"""Bytes of weights that stay in the nearest caches without further ado."""
_version: Callable[[Tensor], int] = operator.attrgetter("_version")
Input = Tensor | np.ndarray[Any, Any]


class Streamed(Protocol):
    """What a stream needs of a network."""

    shape: Shape | None

    @property
    def layers(self) -> Mapping[str, Layer]: ...
    @property
    def sources(self) -> Mapping[str, tuple[str, ...]]: ...
    def check_state(self, state: dict[str, State], batch: int) -> None: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def buffers(self) -> Iterator[Tensor]: ...


class Stream:
    """A network in evaluation, one time step a call; make one with `Network.stream`.

    All layers run in one compiled kernel, with their state in memory of its own: at each call
    ``y[t], state = net(x[t], state)`` without the state being passed. Products take one row of
    weights for each input that is not zero. Results are those of the network up to the order in
    which products are summed. Weights that have changed in place, or that have been given new
    memory, are read anew at the next call. One thread at a time may use a stream.

    Args:
        network: built, in evaluation mode where a layer asks for it.
        batch: number of samples that run side by side.
        state: what the network, or a stream of it, gave for these samples; ``None`` for a fresh
            start.

    Raises:
        BackendError: a layer cannot be compiled; names it.
        ShapeError: ``state`` is of another batch size or network.

    Attributes:
        batch: number of samples.

    >>> from spikewright import LI, LIF, Linear, Sequential
    >>> stream = Sequential(Linear(3, 8), LIF(), Linear(8, 2), LI(), dt=1e-3).stream()
    >>> stream.step(torch.ones(1, 3)).shape
    torch.Size([1, 2])
    """

    def __init__(
        self, network: Streamed, batch: int = 1, state: dict[str, State] | None = None
    ) -> None:
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise ShapeError(
                f"network.stream: batch must be a whole number from 1, got {batch!r}. "
                "Pass how many samples run side by side."
            )
        if network.shape is None:
            raise NetworkError(
                "network.stream: the network's input shape must be known, got None. "
                "Call net.build(shape), or run it once."
            )
        self._network, self.batch = network, batch
        self._structure: tuple[Any, ...] = ()
        self._compile()
        self.reset(state)

    def step(self, x: Input) -> Tensor:
        """Take one time step.

        Args:
            x: (batch, *features), of the network's dtype or whole numbers.

        Returns:
            The output of the last layer, (batch, *features), in memory of its own.

        Raises:
            ShapeError: ``x`` has another shape or dtype, or is not finite; the state stays as it
                was.
            BackendError: ``x`` requires a gradient.
        """
        if self._versions() != self._seen:
            self.refresh()
        if not (
            type(x) is Tensor
            and x.shape == self._shape
            and x.dtype is self._dtype
            and x.is_cpu
            and not x.requires_grad
            and x.is_contiguous()
        ):
            x = self._accept(x, "stream.step", self._shape, "(batch, *features)")
        y = torch.empty_like(self._like)
        self._advance("stream.step", 1, x, y)
        return y

    def run(self, x: Input) -> Tensor:
        """Take a step for each of a sequence.

        Args:
            x: (time, batch, *features), of the network's dtype or whole numbers.

        Returns:
            (time, batch, *features).

        Raises:
            ShapeError, BackendError: as `step`.
        """
        x = torch.tensor(x) if isinstance(x, np.ndarray) else x
        check_sequence("stream.run", x, self._network.shape)
        if self._versions() != self._seen:
            self.refresh()
        x = self._accept(x, "stream.run", (len(x), *self._shape), "(time, batch, *features)")
        y = memory.empty((len(x), *self._like.shape), self._dtype)
        self._advance("stream.run", len(x), x, y)
        return y

    @property
    def state(self) -> dict[str, State]:
        """The state as ``net(x, state)`` returns it, in memory of its own."""
        found = dict(self._state)
        for name, places in self._program.states.items():
            if places:
                leaves, tree = pytree.tree_flatten(found[name])
                numbers = [i for i, leaf in enumerate(leaves) if _is_number(leaf)]
                for i, (first, size) in zip(numbers, places, strict=True):
                    row = self._memory[:, first : first + size].reshape(leaves[i].shape)
                    leaves[i] = row.clone(memory_format=torch.contiguous_format)
                found[name] = pytree.tree_unflatten(leaves, tree)
        return found

    def reset(self, state: dict[str, State] | None = None) -> None:
        """Go on from ``state``, or start afresh.

        Raises:
            ShapeError: ``state`` is of another batch size or network.
        """
        with torch.no_grad():
            state = self._fresh() if state is None else self._completed(state)
            for name, places in self._program.states.items():
                numbers = filter(_is_number, pytree.tree_leaves(state.get(name)))
                for (first, size), leaf in zip(places, numbers, strict=bool(places)):
                    self._memory[:, first : first + size] = leaf.reshape(self.batch, size)
        self._state = dict(state)

    def refresh(self) -> None:
        """Read all weights and parameters anew and keep the state.

        Needed only after a change that PyTorch does not count: through ``.data`` or a NumPy
        view, or a layer's options or tensors replaced by others.
        """
        state = self.state
        self._compile()
        self.reset(state)

    @torch.inference_mode(False)
    def _compile(self) -> None:
        """Describe, compile and pack the network as it is now, in memory fit for any mode."""
        network = self._network
        assert network.shape is not None
        nodes = [_node(network, name) for name in network.layers]
        self._dtype = common_dtype(nodes)
        size = math.prod(network.shape)
        found = structure(nodes, size, self._dtype)
        if found != self._structure:
            self._program, self._structure = make_program(nodes, size, self._dtype), found
        program = self._program
        self._weights = _weight_memory(program.weights, self._dtype)
        pack([node.part for node in nodes], self._weights.numpy())
        self._memory = torch.zeros(self.batch, program.row, dtype=self._dtype)
        self._places = torch.empty(program.row, dtype=torch.int64)
        last = list(network.layers.values())[-1]
        assert last.shape is not None
        self._shape = torch.Size((self.batch, *network.shape))
        self._like = torch.empty(self.batch, *last.output_shape(last.shape), dtype=self._dtype)
        self._noise = {
            node.name: node.part.noise
            for node in nodes
            if isinstance(node.part, Pointwise | Feedback) and node.part.noise
        }
        self._entry = program.entry()
        self._addresses = tuple(t.data_ptr() for t in (self._weights, self._memory, self._places))
        self._watch()

    def _watch(self) -> None:
        """Remember which version of the weights was read."""
        network = self._network
        known = [t for t in (*network.parameters(), *network.buffers()) if not t.is_inference()]
        self._counted, self._parameters = known, list(network.parameters())
        self._seen = self._versions()

    def _versions(self) -> list[int]:
        return [*map(_version, self._counted), *map(Tensor.data_ptr, self._parameters)]

    def _advance(self, where: str, steps: int, x: Tensor, y: Tensor) -> None:
        """Take steps from ``x`` to ``y``; nothing happens if ``x`` is not finite."""
        state, noise = self._draw(steps) if self._noise else (self._state, self._memory)
        arrays = (noise.data_ptr(), x.data_ptr(), y.data_ptr())
        if self._entry(steps, self.batch, *self._addresses, *arrays):
            check_finite(where, x.reshape(steps, *self._shape))
        self._state = state

    def _draw(self, steps: int) -> tuple[dict[str, State], Tensor]:
        """Random numbers for some steps, and the state with its places in their streams."""
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
                    f"stream: state of layer {name!r} must be what the network returned, {form}, "
                    f"got {given}. Pass None for a fresh start."
                )
        return {**fresh, **state}

    def _accept(self, x: Any, where: str, shape: tuple[int, ...], axes: str) -> Tensor:
        """An input that needs a closer look, as a tensor that the kernel can read."""
        if isinstance(x, np.ndarray):
            x = torch.tensor(x)
        if not isinstance(x, Tensor) or x.shape != shape:
            got = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise ShapeError(
                f"{where}: input must be {axes} = {tuple(shape)}, got {got}. "
                "Add the axes that are missing, or make a stream for that batch."
            )
        if x.requires_grad and torch.is_grad_enabled():
            raise BackendError(
                f"{where}: input must not require a gradient, got one that does. A stream has "
                "none: call net(x, state), or pass x.detach()."
            )
        if not (x.is_floating_point() or x.is_complex()):
            x = x.to(self._dtype)
        if x.dtype != self._dtype or not x.is_cpu:
            raise ShapeError(
                f"{where}: input must be {self._dtype} on the CPU, as the weights are, got "
                f"{x.dtype} on {x.device}. Convert it with x.to('cpu', {self._dtype})."
            )
        return x.detach().contiguous()


def _weight_memory(count: int, dtype: torch.dtype) -> Tensor:
    """Zeros; in huge pages if they outgrow the nearest cache, for rows are read here and there."""
    room = memory.SMALLEST // dtype.itemsize
    large = count * dtype.itemsize > SMALL_WEIGHTS
    return memory.empty((max(count, room) if large else count,), dtype)[:count].zero_()


def _node(network: Streamed, name: str) -> Node:
    with naming(name):
        return Node(name, part_of(network.layers[name]), network.sources[name])


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def _form(state: State) -> str:
    """How a state is built, in words."""
    return str(pytree.tree_map(lambda t: tuple(t.shape) if isinstance(t, Tensor) else t, state))
