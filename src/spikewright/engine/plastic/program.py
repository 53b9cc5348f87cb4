"""From a network and its plastic connections to the compiled kernel of both."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from spikewright.engine import cache
from spikewright.engine.plastic.source import OnlineSource, Synapses
from spikewright.engine.stream.program import Entry, Program, layout, planned, structure
from spikewright.engine.stream.source import Node, Place

_ENTRY = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 3, *[ctypes.c_void_p] * 10)
Span = tuple[int, int]
"""First place and size."""


@dataclass(frozen=True)
class OnlineProgram(Program):
    """A compiled presentation and what memory it works on.

    Args:
        rows: where the weights of each plastic connection lie in those of the network.
        traces: where the traces of each lie in a sample's row.
        eligibility: where the eligibilities of each that has some lie among all.
        spikes: where the spikes of each layer are counted.
    """

    rows: dict[str, Span]
    traces: dict[str, dict[str, Span]]
    eligibility: dict[str, Span]
    spikes: dict[str, Span]

    def entry(self) -> Entry:
        return _entry(self.source)


@dataclass(frozen=True)
class Extent:
    """What of a network is plastic, counted and frozen; see `OnlineSource`."""

    plastic: tuple[Synapses, ...]
    counted: tuple[str, ...]
    frozen: Mapping[str, tuple[int, ...]]
    numbers: int


def make_online_program(
    nodes: Sequence[Node], inputs: int, dtype: torch.dtype, extent: Extent
) -> OnlineProgram:
    """The program of a network with plastic connections: from disk, or printed now."""

    def make() -> dict[str, Any]:
        source = OnlineSource(dtype, **vars(extent))
        text = source.network(nodes, inputs)
        places = {
            "rows": {s.name: _span(source.rows[s.name]) for s in extent.plastic},
            "traces": {n: _spans(traces) for n, traces in source.traces.items()},
            "eligibility": _spans(source.eligibility),
            "spikes": _spans(source.spikes),
        }
        return {"source": text, **layout(source), **places}

    content = structure(nodes, inputs, dtype), tuple(vars(extent).values())
    return OnlineProgram(**planned(make, "online", content))


def _span(place: Place) -> Span:
    return place.first, place.size


def _spans(places: Mapping[str, Place]) -> dict[str, Span]:
    return {name: _span(place) for name, place in places.items()}


@functools.lru_cache(maxsize=64)
def _entry(source: str) -> Entry:
    module = cache.load_kernels(source, "online")
    entry: Any = _ENTRY(module.step.address)
    entry.module = module  # the code lives as long as the module
    return entry
