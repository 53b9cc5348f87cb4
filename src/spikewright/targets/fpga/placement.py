"""Where activations lie in the two banks of the activation memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from spikewright.targets.fpga.dimensions import Dimensions


@dataclass(frozen=True)
class Map:
    """Activations in the memory: row after row, and of each row its bit planes, first bit first.

    Args:
        shape: (channels, rows, columns); a vector is one channel of rows as wide as a word.
        bits, planes: of an activation.
        features: numbers in it; the last row of a vector may be shorter.
        bank, index: where its first word is.
    """

    shape: tuple[int, int, int]
    bits: int
    planes: int
    features: int
    bank: int = 0
    index: int = 0

    @property
    def words(self) -> int:
        """Words of memory."""
        return self.shape[0] * self.channel_words

    @property
    def channel_words(self) -> int:
        """Words from one channel to the next."""
        return self.shape[1] * self.planes

    @property
    def rows(self) -> int:
        """Of all channels."""
        return self.shape[0] * self.shape[1]


def map_of(shape: tuple[int, ...], bits: int, dimensions: Dimensions) -> Map:
    """How activations of a shape, (channels, rows, columns) or (features,), are laid out.

    >>> map_of((10,), 4, Dimensions(word=8)).shape
    (1, 2, 8)
    """
    planes, word = dimensions.planes(bits), dimensions.word
    if len(shape) == 3:
        channels, rows, columns = shape
        return Map((channels, rows, columns), bits, planes, prod(shape))
    return Map((1, -(-shape[0] // word), min(word, shape[0])), bits, planes, shape[0])


class Banks:
    """What lies where at the moment. `take` and `free` keep the books."""

    depth: list[int]
    """Words that each bank has needed so far."""

    def __init__(self) -> None:
        self.depth = [2, 2]
        self._taken: list[Map] = []

    def take(self, wanted: Map, bank: int) -> Map:
        """The first gap of a bank that is large enough."""
        index = 0
        for other in sorted((m for m in self._taken if m.bank == bank), key=lambda m: m.index):
            if index + wanted.words <= other.index:
                break
            index = max(index, other.index + other.words)
        placed = replace(wanted, bank=bank, index=index)
        self._taken.append(placed)
        self.depth[bank] = max(self.depth[bank], index + placed.words)
        return placed

    def free(self, placed: Map) -> None:
        """Nobody reads it any more."""
        self._taken = [m for m in self._taken if m is not placed]
