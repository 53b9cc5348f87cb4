"""From the parts of a network to the compiled step of its stream."""

from __future__ import annotations

import ctypes
import functools
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from spikewright.engine import cache
from spikewright.engine.program import (
    Competition,
    Convolution,
    Delayed,
    DelayedProduct,
    Feedback,
    MatrixProduct,
    Maximum,
    Part,
    Pointwise,
    WindowSum,
)
from spikewright.engine.stream.source import Node, StreamSource
from spikewright.engine.stream.values import tensors
from spikewright.engine.tracing import fingerprint
from spikewright.errors import BackendError

Entry = Callable[..., int]
_ENTRY = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 8)


@dataclass(frozen=True)
class Program:
    """A compiled step and what memory it works on.

    Args:
        source: of the kernel.
        row: numbers of a sample.
        weights: numbers of the network.
        noise: random numbers that a sample takes each step.
        states: (first, size) in a sample's row of each tensor in the state of each layer.
    """

    source: str
    row: int
    weights: int
    noise: int
    states: dict[str, list[tuple[int, int]]]

    def entry(self) -> Entry:
        """The step as a C function of addresses; see ``sources/stream.py``."""
        return _entry(self.source)


def structure(nodes: Sequence[Node], inputs: int, dtype: torch.dtype) -> tuple[Any, ...]:
    """All that a program depends on: what the layers do, not with which numbers."""
    layers = [(node.name, node.sources, _structure(node.part)) for node in nodes]
    return (*layers, inputs, dtype)


def make_program(nodes: Sequence[Node], inputs: int, dtype: torch.dtype) -> Program:
    """The program of a network: from disk, or printed now.

    Args:
        nodes: the layers in running order.
        inputs: numbers in one sample's input.
    """
    source = StreamSource(dtype)

    def make() -> dict[str, Any]:
        text = source.network(nodes, inputs)
        return {"source": text, **layout(source)}

    return Program(**planned(make, "stream", structure(nodes, inputs, dtype)))


_RECENT: deque[tuple[tuple[Any, ...], dict[str, Any]]] = deque(maxlen=16)
"""Contents and what was made for them: a key for the disk takes milliseconds to work out."""


def planned(make: Callable[[], dict[str, Any]], *content: Any) -> dict[str, Any]:
    """What ``make`` gives: kept, or from disk, if it was made before for the same ``content``."""
    for known, stored in tuple(_RECENT):
        if known == content:
            return stored
    stored = _from_disk(make, content)
    _RECENT.append((content, stored))
    return stored


def _from_disk(make: Callable[[], dict[str, Any]], content: tuple[Any, ...]) -> dict[str, Any]:
    try:
        key = fingerprint.fingerprint(*content)
    except fingerprint.Unknown:
        return make()
    stored = cache.read_plan(key)
    if stored is None:
        stored = make()
        cache.write_plan(key, stored)
    return stored


def layout(source: StreamSource) -> dict[str, Any]:
    """The fields of a `Program` beside its text."""
    states = {
        name: [(place.first, place.size) for place in places]
        for name, places in source.states.items()
    }
    sizes = {"row": source.row, "weights": source.weights, "noise": source.noise}
    return {**sizes, "states": states}


def common_dtype(nodes: Sequence[Node], where: str) -> torch.dtype:
    """The dtype of all numbers of a network.

    Raises:
        BackendError: they are of several dtypes, or of one that is not compiled, or not finite.
    """
    found: dict[torch.dtype, str] = {}
    for node in nodes:
        for tensor in tensors(node.part):
            found.setdefault(tensor.dtype, node.name)
            _check(where, node.name, tensor)
    if len(found) > 1:
        got = ", ".join(f"{dtype} in layer {name!r}" for dtype, name in found.items())
        raise BackendError(
            f"{where}: weights and parameters must be of one dtype, got {got}. "
            "Convert the network, for example with net.float()."
        )
    return next(iter(found), torch.get_default_dtype())


def _check(where: str, name: str, tensor: torch.Tensor) -> None:
    if tensor.device.type != "cpu" or tensor.dtype not in (torch.float32, torch.float64):
        raise BackendError(
            f"{where}: layer {name!r} must hold float32 or float64 numbers on the CPU, got "
            f"{tensor.dtype} on {tensor.device}. Convert the network, or call net(x, state)."
        )
    if not math.isfinite(float(tensor.detach().sum())) and not bool(tensor.isfinite().all()):
        wrong = tensor[~tensor.isfinite()].flatten()[0].item()
        raise BackendError(
            f"{where}: weights of layer {name!r} must be finite, got {wrong}. "
            "The network has been spoilt in training; load an earlier checkpoint."
        )


def _structure(part: Part) -> tuple[Any, ...]:
    """All that the printed text of a part depends on."""
    kind = type(part).__name__
    match part:
        case Delayed():
            return kind, part.features, part.depth
        case MatrixProduct() | DelayedProduct():
            return kind, tuple(part.weight.shape), part.state
        case Convolution() | WindowSum() | Maximum():
            return kind, part.geometry
        case Pointwise():
            return kind, part.step, part.slots(), part.features, part.noise is not None
        case Competition():
            return kind, _structure(part.trial), _structure(part.neurons), part.winners
        case Feedback():
            return kind, _structure(part.neurons), _structure(part.connection)
        case _:
            return (kind,)


@functools.lru_cache(maxsize=64)
def _entry(source: str) -> Entry:
    module = cache.load_kernels(source, "stream")
    entry: Any = _ENTRY(module.step.address)
    entry.module = module  # the code lives as long as the module
    return entry
