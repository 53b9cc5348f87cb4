"""Where Yosys puts an accelerator's memories on a 7-series chip: blocks, or look-up tables.

It takes what is cheapest by the costs of its own libraries (``memory_libmap``, ``xilinx/``
``brams_xc4v.txt`` and ``lutrams_xc5v.txt`` of Yosys 0.23), which are repeated here.
"""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.targets.fpga.dimensions import Dimensions
from spikewright.targets.fpga.footprint import WORD

SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
"""Words and bits of half a block of 36 kbit."""
SMALL = ((64, 3), (32, 6))
"""Words and bits of four look-up tables that are one memory to write and to read."""
HALF_COSTS, SMALL_COSTS, BIT_COSTS = 129, 8, 1 / 64
"""What Yosys counts for half a block, for four look-up tables, and for a constant bit as logic."""
QUEUE = 8
"""Words that wait for the stream of results."""


@dataclass(frozen=True)
class Memory:
    """One memory on the chip.

    Args:
        words, bits: and how many there are of a word.
        constant: nothing writes it: it may become logic.

    >>> Memory(1024, 36, constant=True).blocks, Memory(512, 36, constant=False).blocks
    (1.0, 0.5)
    >>> Memory(650, 12, constant=True).constants, Memory(150, 6, constant=False).tables
    (7800, 20)
    """

    words: int
    bits: int
    constant: bool

    @property
    def halves(self) -> int:
        """Half blocks of the shape that needs fewest; parts of a word may share one."""
        return _fewest(self, SHAPES)

    @property
    def cheap(self) -> bool:
        """Whether it takes no block."""
        each = self.words * self.bits * BIT_COSTS
        small = each if self.constant else _fewest(self, SMALL) * SMALL_COSTS
        return small < self.halves * HALF_COSTS

    @property
    def blocks(self) -> float:
        """Of 36 kbit."""
        return 0.0 if self.cheap else self.halves / 2

    @property
    def constants(self) -> int:
        """Bits that become logic."""
        return self.words * self.bits if self.cheap and self.constant else 0

    @property
    def tables(self) -> int:
        """Look-up tables that become memory."""
        return 4 * _fewest(self, SMALL) if self.cheap and not self.constant else 0


def memories(d: Dimensions) -> tuple[Memory, ...]:
    """All of an accelerator. Units and outputs that no layer uses, whose weights are 0 throughout,
    are counted as well; tools leave them out."""
    constants = [(d.kernel_biases, d.units * d.sum), (d.weight_biases, d.sum)]
    constants.append((d.instructions, WORD))
    if not d.stream_kernels:
        constants.append((d.kernels, d.units * d.weight))
    if not d.stream_weights:
        constants.append((d.weights, d.linear * d.weight))
    written = [(d.depth_0, d.word), (d.depth_1, d.word), (QUEUE, d.sum + 1)]
    written.append((d.taps, d.units * d.weight))
    if d.sums:
        written.append((d.sums, d.units * d.sum))
    return (
        *(Memory(words, bits, constant=True) for words, bits in constants),
        *(Memory(words, bits, constant=False) for words, bits in written),
    )


def _fewest(it: Memory, shapes: tuple[tuple[int, int], ...]) -> int:
    """Words that lie beyond the first part's depth stand beside it, as more bits of a word."""
    return min(-(-(-(-it.words // deep) * it.bits) // wide) for deep, wide in shapes)
