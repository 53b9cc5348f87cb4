"""What is run on a chip for a network: configurations in order, and how to read what they show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.compiler.design import Route
from spikewright.targets.brainscales2.chip import Configuration
from spikewright.targets.brainscales2.lowering.timing import Clock


@dataclass(frozen=True, eq=False)
class Seat:
    """The circuits that a layer has in a run.

    Args:
        neurons: which neurons of the layer, int64 (m,).
        circuits: where they are, int64 (m,).
        zero: LSB of the potential 0, float64 (m,).
        per_unit: LSB for a potential of 1, float64 (m,).
        start: s of the chip's time, when the layer's first step begins; see `timing`.
        spiking: whether the layer fires; a readout shows its membrane.
        shown: what of ``"spikes"`` and ``"v"`` is handed back.
    """

    neurons: NDArray[np.int64]
    circuits: NDArray[np.int64]
    zero: NDArray[np.float64]
    per_unit: NDArray[np.float64]
    start: float
    spiking: bool
    shown: tuple[str, ...] = ("spikes", "v")


@dataclass(frozen=True, eq=False)
class Run:
    """One configuration of the chip.

    Args:
        seats: by layer, in the order in which they run.
        routes: of everything that rows listen to.
        sent: by source whose events the host sends, s of the chip's time, when those of its first
            step are; see `timing`.
    """

    configuration: Configuration
    seats: Mapping[str, Seat]
    routes: tuple[Route, ...]
    sent: Mapping[str, float]

    def from_host(self) -> dict[str, NDArray[np.int64]]:
        """The addresses of each source whose events the host sends."""
        sent = (route for route in self.routes if route.source not in self.seats)
        return {route.source: route.addresses for route in sent}


@dataclass(frozen=True, eq=False)
class Plan:
    """All runs for a network.

    Args:
        dt: of the network, s; clock: how that passes on the chip.
        runs: in order.
        shapes: of one sample of the input and of each layer, by name.
        output: the layer that gives the network's output.
        weight: by (source, target), codes for a weight of 1 in one row.
    """

    dt: float
    clock: Clock
    runs: tuple[Run, ...]
    shapes: Mapping[str, tuple[int, ...]]
    output: str
    weight: Mapping[tuple[str, str], float]

    def seats(self) -> dict[str, Seat]:
        """By layer, its seat in the last run that it has one in."""
        return {name: seat for run in self.runs for name, seat in run.seats.items()}
