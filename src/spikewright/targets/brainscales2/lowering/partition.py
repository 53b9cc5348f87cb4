"""The pass `Partition`: which layers run together, and in which order."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.compiler.design import Design, Piece
from spikewright.targets.brainscales2.lowering.packing import Room, Wires, pack
from spikewright.targets.brainscales2.lowering.wiring import layers, projections, size


@dataclass(frozen=True)
class Partition:
    """Cut a network into runs, one after the other, that the chip can hold.

    Layers share a run as long as they fit. One that does not fit into what is left of the chip
    starts a new run, and one wider than the whole chip is split over several. A layer whose
    spikes come back to it has to fit into one run.

    Args:
        repeat: rows of each sign that an input channel takes.
        dead: circuits that cannot be used.
    """

    repeat: int = 1
    dead: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return "partition"

    def apply(self, design: Design) -> Design:
        """Set ``pieces``; none where a layer does not fit at all."""
        cut = _Cut(Wires.of(projections(design.program), self.repeat), self.dead)
        for node in layers(design.program):
            if not cut.add(node.name, size(design.program, node.name)):
                note = f"partition: layer {node.name!r} does not fit onto the chip"
                return design.noting(note, pieces=())
        runs = "one run" if cut.run == 0 else f"{cut.run + 1} runs, one after the other"
        return design.noting(f"partition: the network takes {runs}", pieces=tuple(cut.pieces))


class _Cut:
    """The pieces so far, and what is left of the chip in the last run."""

    def __init__(self, wires: Wires, dead: tuple[int, ...]) -> None:
        self.wires, self.dead = wires, dead
        self.room = Room.empty(wires, dead)
        self.pieces: list[Piece] = []
        self.run = 0

    def add(self, name: str, neurons: int) -> bool:
        """Give a layer its pieces; False if that cannot be."""
        room = self.room.copy()
        put, rest = pack(room, Piece(name, 0, neurons, self.run))
        if rest.first == rest.last and not self._hears_half(name):
            self.room = room
            self.pieces += [p.piece for p in put]
            return True
        if self.pieces:
            self._next_run()
        return self._spread(name, neurons)

    def _spread(self, name: str, neurons: int) -> bool:
        """Put a layer into as many runs as it takes, from an empty chip on."""
        first = 0
        while True:
            put, rest = pack(self.room, Piece(name, first, neurons, self.run))
            self.pieces += [p.piece for p in put]
            if rest.first == rest.last:
                return True
            if rest.first == first or self._feeds_back(name):
                return False
            first = rest.first
            self._next_run()

    def _next_run(self) -> None:
        self.run += 1
        self.room = Room.empty(self.wires, self.dead)

    def _feeds_back(self, name: str) -> bool:
        return any(p.steps for p in self.wires.joining.get(name, ()))

    def _hears_half(self, name: str) -> bool:
        """Whether a source has one part in this run and another one in an earlier run."""
        for source in {p.source for p in self.wires.joining.get(name, ())}:
            runs = {piece.run for piece in self.pieces if piece.node == source}
            if len(runs) > 1 and self.run in runs:
                return True
        return False
