"""A network that takes one step at a time, compiled into one kernel."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.engine import memory
from spikewright.engine.checks import check_finite, check_sequence
from spikewright.engine.layer import State
from spikewright.engine.stream.machine import Machine, Streamed
from spikewright.engine.stream.program import Program, make_program
from spikewright.engine.stream.source import Node
from spikewright.errors import BackendError, ShapeError

_version: Callable[[Tensor], int] = operator.attrgetter("_version")
Input = Tensor | np.ndarray[Any, Any]


class Stream(Machine[Program]):
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
        super().__init__(network, batch, "network.stream")
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
        return self._layer_states()

    def reset(self, state: dict[str, State] | None = None) -> None:
        """Go on from ``state``, or start afresh.

        Raises:
            ShapeError: ``state`` is of another batch size or network.
        """
        self._set_layer_states(state)

    def refresh(self) -> None:
        """Read all weights and parameters anew and keep the state.

        Needed only after a change that PyTorch does not count: through ``.data`` or a NumPy
        view, or a layer's options or tensors replaced by others.
        """
        state = self.state
        self._compile()
        self.reset(state)

    def _program_of(self, nodes: Sequence[Node], inputs: int) -> Program:
        return make_program(nodes, inputs, self._dtype)

    def _compile(self) -> None:
        super()._compile()
        network = self._network
        last = list(network.layers.values())[-1]
        assert network.shape is not None
        assert last.shape is not None
        self._shape = torch.Size((self.batch, *network.shape))
        with torch.inference_mode(False):
            shape = (self.batch, *last.output_shape(last.shape))
            self._like = torch.empty(shape, dtype=self._dtype)
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
        state, noise = self._draw(steps)
        arrays = (noise.data_ptr(), x.data_ptr(), y.data_ptr())
        if self._entry(steps, self.batch, *self._addresses, *arrays):
            check_finite(where, x.reshape(steps, *self._shape))
        self._state = state

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
