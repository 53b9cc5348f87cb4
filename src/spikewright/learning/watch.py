"""Each piece of memory that a training step takes and gives back, in order."""

from __future__ import annotations

import contextlib
import gc
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from spikewright.engine.memory import noted
from spikewright.network import Network

COPYING = (torch.ops.aten.convolution, torch.ops.aten.convolution_backward)
"""Operations that work on copies of what they are given and give, in an order of their own."""


@dataclass
class Piece:
    """One piece of memory.

    Args:
        size: bytes.
        layer: whose forward pass took it; empty for others.
        pooled: whether it comes from the engine's blocks.
    """

    size: int
    layer: str
    pooled: bool = False


@dataclass(frozen=True)
class Event:
    """A piece is taken or given back.

    Args:
        piece: its number.
        arrays: the most that NumPy's arrays took since the event before, bytes.
    """

    piece: int
    taken: bool
    arrays: int


@dataclass
class Trace:
    """All pieces and what became of them."""

    pieces: list[Piece] = field(default_factory=list[Piece])
    events: list[Event] = field(default_factory=list[Event])

    def like(self, other: Trace) -> bool:
        """Whether both took pieces for the same things; some may be given back later in one."""
        return [p.layer for p in self.pieces] == [p.layer for p in other.pieces]


def watch(network: Network, step: Callable[[], Any]) -> Trace:
    """Run a training step and note its memory; what was there before counts as nothing."""
    for parameter in network.parameters():
        parameter.grad = None
    mode = _Watch()
    with contextlib.ExitStack() as stack:
        for name, layer in network.layers.items():
            stack.enter_context(_labelled(mode, name, layer))
        stack.enter_context(_arrays_watched())
        stack.enter_context(noted(mode.note))
        stack.enter_context(mode)
        step()
    return mode.trace


@contextlib.contextmanager
def _labelled(mode: _Watch, name: str, layer: nn.Module) -> Iterator[None]:
    def enter(*_: Any) -> None:
        mode.layer = name

    def leave(*_: Any) -> None:
        mode.layer = ""

    hooks = layer.register_forward_pre_hook(enter), layer.register_forward_hook(leave)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def _arrays_watched() -> Iterator[None]:
    """NumPy tells `tracemalloc` of its arrays."""
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()  # when it runs is a matter of chance
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
        if collecting:
            gc.enable()


class _Watch(TorchDispatchMode):
    """Notes the memory of every tensor that an operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.trace, self.layer = Trace(), ""
        self.known: dict[int, tuple[int, weakref.ref[Any]]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for tensor in _tensors((args, kwargs)):
            self._know(tensor, new=False)
        out = func(*args, **kwargs)
        for tensor in _tensors(out):
            self._know(tensor, new=True)
        if func.overloadpacket in COPYING:
            self._pass_by(sum(tensor.nbytes for tensor in _tensors((args, out))))
        return out

    def _pass_by(self, size: int) -> None:
        """A piece that lives within an operation."""
        number = len(self.trace.pieces)
        self.trace.pieces.append(Piece(size, ""))
        self._add(number, True)
        self._add(number, False)

    def note(self, tensor: Tensor) -> None:
        """A tensor that would come from the engine's blocks."""
        storage: Any = tensor.untyped_storage()
        number, _ = self.known[storage._cdata]
        self.trace.pieces[number].pooled = True

    def _know(self, tensor: Tensor, new: bool) -> None:
        """Note memory when it is first seen; what an operation is given was there before."""
        storage: Any = tensor.untyped_storage()
        key = storage._cdata
        # The memory of NumPy's arrays, which PyTorch cannot resize, is watched elsewhere.
        if key in self.known or not storage.resizable():
            return
        number = len(self.trace.pieces)

        def gone(_: Any) -> None:
            del self.known[key]
            if new:
                self._add(number, False)

        self.known[key] = number, weakref.ref(storage, gone)
        if new:
            self.trace.pieces.append(Piece(storage.nbytes(), self.layer))
            self._add(number, True)

    def _add(self, number: int, taken: bool) -> None:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        self.trace.events.append(Event(number, taken, peak))


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]
