"""The pass `Place`: which circuits the neurons get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spikewright.compiler.design import Design, Piece
from spikewright.compiler.design import Place as Placed
from spikewright.targets.brainscales2.lowering.packing import Room, Wires, pack
from spikewright.targets.brainscales2.lowering.wiring import projections


@dataclass(frozen=True)
class Place:
    """Give each neuron a column of a block, from the left, run by run.

    Args:
        repeat: rows of each sign that an input channel takes.
        dead: circuits that cannot be used.
    """

    repeat: int = 1
    dead: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return "place"

    def apply(self, design: Design) -> Design:
        """Set ``places`` from ``pieces``."""
        wires = Wires.of(projections(design.program), self.repeat)
        rooms: dict[int, Room] = {}
        places: list[Placed] = []
        for piece in design.pieces:
            room = rooms.setdefault(piece.run, Room.empty(wires, self.dead))
            places += self._put(room, piece)
        return design.noting(places=tuple(places))

    @staticmethod
    def _put(room: Room, piece: Piece) -> Iterator[Placed]:
        for put in pack(room, piece)[0]:
            yield Placed(put.piece, put.block, np.array(put.columns, dtype=np.int64))
