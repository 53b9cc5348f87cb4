"""What fits onto the chip at one time: columns for neurons, rows for what they listen to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from spikewright.compiler.design import Piece
from spikewright.targets.brainscales2.chip import BLOCKS, COLUMNS, ROWS
from spikewright.targets.brainscales2.lowering.wiring import Projection, is_repeated

Channel = tuple[str, int]
"""A source and one of its channels."""


@dataclass(frozen=True)
class Wires:
    """Which channels the neurons of a program listen to, and how many rows each one takes.

    Args:
        joining: projections by target.
        repeat: how many rows of each sign a channel of the input or a bias takes.
    """

    joining: Mapping[str, tuple[Projection, ...]]
    repeat: int = 1

    @staticmethod
    def of(projections: Sequence[Projection], repeat: int = 1) -> Wires:
        targets = dict.fromkeys(p.target for p in projections)
        joining = {t: tuple(p for p in projections if p.target == t) for t in targets}
        return Wires(joining, repeat)

    def rows(self, source: str) -> int:
        """Rows of a channel of a source: one that excites and one that inhibits, repeated."""
        return 2 * (self.repeat if is_repeated(source) else 1)

    def heard(self, piece: Piece) -> frozenset[Channel]:
        """The channels that some neuron of a piece listens to."""
        return frozenset(
            (p.source, int(channel))
            for p in self.joining.get(piece.node, ())
            for channel in np.flatnonzero(p.joined[piece.first : piece.last].any(axis=0))
        )

    def taken(self, channels: frozenset[Channel]) -> int:
        """Rows that channels take in a block."""
        return sum(self.rows(source) for source, _ in channels)


@dataclass
class Room:
    """What is left of each block while pieces are put on it.

    Args:
        columns: by block, the free ones in ascending order.
        heard: by block, the channels that have rows.
    """

    wires: Wires
    columns: list[list[int]]
    heard: list[frozenset[Channel]] = field(
        default_factory=lambda: [frozenset[Channel]() for _ in range(BLOCKS)]
    )

    @staticmethod
    def empty(wires: Wires, dead: Sequence[int] = ()) -> Room:
        """The whole chip but for its dead circuits."""
        lost = frozenset(dead)
        free = [
            [c for c in range(COLUMNS) if block * COLUMNS + c not in lost]
            for block in range(BLOCKS)
        ]
        return Room(wires, free)

    def copy(self) -> Room:
        return Room(self.wires, [list(c) for c in self.columns], list(self.heard))

    def most(self, piece: Piece, block: int) -> int:
        """How many neurons of a piece, from its first on, still fit into a block."""
        width = min(piece.last - piece.first, len(self.columns[block]))
        fits = self._fits(piece, block, width)
        if fits or width == 0:
            return width if fits else 0
        low, high = 0, width  # more neurons never need fewer rows
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._fits(piece, block, middle) else (low, middle)
        return low

    def _fits(self, piece: Piece, block: int, width: int) -> bool:
        part = Piece(piece.node, piece.first, piece.first + width, piece.run)
        return self.wires.taken(self.heard[block] | self.wires.heard(part)) <= ROWS

    def put(self, piece: Piece, block: int) -> list[int]:
        """Take the columns and rows of a piece that fits; return the columns."""
        width = piece.last - piece.first
        taken, self.columns[block] = self.columns[block][:width], self.columns[block][width:]
        self.heard[block] |= self.wires.heard(piece)
        return taken


@dataclass(frozen=True)
class Put:
    """A piece, its block and its columns."""

    piece: Piece
    block: int
    columns: tuple[int, ...]


def pack(room: Room, piece: Piece) -> tuple[list[Put], Piece]:
    """Put as much of a piece as fits, whole into one block if that can be.

    Returns:
        What was put, and what is left of the piece, perhaps nothing.
    """
    puts: list[Put] = []
    for block in _by_room(room, piece):
        width = room.most(piece, block)
        if width:
            part = Piece(piece.node, piece.first, piece.first + width, piece.run)
            puts.append(Put(part, block, tuple(room.put(part, block))))
            piece = Piece(piece.node, part.last, piece.last, piece.run)
    return puts, piece


def _by_room(room: Room, piece: Piece) -> list[int]:
    """The blocks, the one first that holds most of the piece."""
    return sorted(range(BLOCKS), key=lambda block: (-room.most(piece, block), block))
