"""A design: a discrete program and what the passes have decided about it so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from spikewright.compiler.discrete import DiscreteProgram


@dataclass(frozen=True)
class Piece:
    """Some neurons of a node that run together: ``first`` to ``last - 1``, in the run ``run``."""

    node: str
    first: int
    last: int
    run: int = 0


@dataclass(frozen=True, eq=False)
class Place:
    """Where a piece sits.

    Args:
        core: core, block or half of the chip.
        units: for each neuron of the piece the place of its circuit within the core.
    """

    piece: Piece
    core: int
    units: NDArray[np.int64]


def bias_of(layer: str) -> str:
    """The source that stands for the bias of a layer of neurons, on targets where it is events."""
    return f"{layer}.bias"


@dataclass(frozen=True, eq=False)
class Route:
    """How the events of a source reach a core.

    Args:
        run: in which run.
        source: ``"input"``, the name of a node, or what `bias_of` gives.
        core: where to.
        addresses: event address of each channel of the source.
        rows: the rows of the core that listen to each channel, (channels, rows a channel).
    """

    run: int
    source: str
    core: int
    addresses: NDArray[np.int64]
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Slot:
    """One run in the schedule: what it computes, what it needs, and how long it takes (s)."""

    run: int
    nodes: tuple[str, ...]
    inputs: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class Design:
    """What a target is given.

    Args:
        program: the discrete program.
        pieces: made by ``partition``; places: by ``place``; routes: by ``route``; slots: by
            ``schedule``; empty until then.
        notes: what passes assumed or changed, a sentence each.
    """

    program: DiscreteProgram
    pieces: tuple[Piece, ...] = ()
    places: tuple[Place, ...] = ()
    routes: tuple[Route, ...] = ()
    slots: tuple[Slot, ...] = ()
    notes: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict[str, Any])

    def noting(self, *notes: str, **changes: Any) -> Design:
        """A copy with fields changed and notes added."""
        return replace(self, notes=(*self.notes, *notes), **changes)


@runtime_checkable
class Pass(Protocol):
    """A step of the compiler: a frozen dataclass, named by a verb."""

    @property
    def name(self) -> str: ...

    def apply(self, design: Design) -> Design: ...
