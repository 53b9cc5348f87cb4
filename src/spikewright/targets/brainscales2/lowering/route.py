"""The pass `Route`: which events reach which rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.compiler.design import Design, Place
from spikewright.compiler.design import Route as Routed
from spikewright.targets.brainscales2.chip import CIRCUITS, COLUMNS
from spikewright.targets.brainscales2.lowering.packing import Channel, Wires
from spikewright.targets.brainscales2.lowering.wiring import projections, size


@dataclass(frozen=True)
class Route:
    """Give every channel an address in each run, and rows in each block that listens to it.

    A circuit's own number is the address of its spikes, so layers of one run reach each other
    on the chip. What comes from the host, the input and layers of earlier runs, has the numbers
    above. The rows of a channel are, in a block, first those that excite, then those that
    inhibit; -1 where the block does not listen.

    Args:
        repeat: rows of each sign that an input channel takes.
    """

    repeat: int = 1

    @property
    def name(self) -> str:
        return "route"

    def apply(self, design: Design) -> Design:
        """Set ``routes`` from ``places``."""
        wires = Wires.of(projections(design.program), self.repeat)
        runs = sorted({place.piece.run for place in design.places})
        return design.noting(routes=tuple(r for run in runs for r in _run(design, wires, run)))


def circuits(places: tuple[Place, ...], node: str, run: int | None = None) -> NDArray[np.int64]:
    """The circuits of a layer's neurons, (n,), those of one run alone if it is given."""
    mine = [p for p in places if p.piece.node == node and run in (None, p.piece.run)]
    mine.sort(key=lambda place: place.piece.first)
    found = [place.core * COLUMNS + place.units for place in mine]
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def _run(design: Design, wires: Wires, run: int) -> Iterator[Routed]:
    heard = _heard(design, wires, run)
    addresses = _addresses(design, wires, run)
    for block, channels in sorted(heard.items()):
        first = 0
        for source, address in addresses.items():
            mine = [channel for name, channel in channels if name == source]
            if mine:
                count = wires.rows(source)
                rows = np.full((len(address), count), -1, dtype=np.int64)
                rows[mine] = first + np.arange(len(mine) * count).reshape(-1, count)
                first += len(mine) * count
                yield Routed(run, source, block, address, rows)


def _heard(design: Design, wires: Wires, run: int) -> dict[int, list[Channel]]:
    """By block, the channels that its neurons listen to, in order."""
    found: dict[int, set[Channel]] = {}
    for place in design.places:
        if place.piece.run == run:
            found.setdefault(place.core, set()).update(wires.heard(place.piece))
    return {block: sorted(channels) for block, channels in found.items()}


def _addresses(design: Design, wires: Wires, run: int) -> dict[str, NDArray[np.int64]]:
    """The event addresses of each source of a run."""
    targets = dict.fromkeys(p.piece.node for p in design.places if p.piece.run == run)
    found: dict[str, NDArray[np.int64]] = {}
    free = CIRCUITS
    for source in dict.fromkeys(p.source for t in targets for p in wires.joining.get(t, ())):
        if source in targets:
            found[source] = circuits(design.places, source, run)
        else:
            count = size(design.program, source)
            found[source] = np.arange(free, free + count)
            free += count
    return found
