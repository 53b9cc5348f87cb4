"""How often the address changes that the activation memory is asked for, run by run.

A memory costs energy when it is asked for another word. Both banks see the lower bits of one
address, whichever of them is meant, that of the unit which works or worked last.
"""

from __future__ import annotations

from collections.abc import Mapping

from spikewright.targets.fpga.clocks import tiles
from spikewright.targets.fpga.dimensions import Dimensions
from spikewright.targets.fpga.instructions import Mode, Operation, Setting

S = Setting
Settings = Mapping[Setting, int]


class Addresses:
    """Addresses since the power came on, when all of them were 0.

    Args:
        d: of the accelerator.

    Attributes:
        reads: words that both banks were asked for.
    """

    def __init__(self, d: Dimensions) -> None:
        self.reads = 0
        self._dimensions = d
        self._masks = tuple(2 ** index_bits(depth) - 1 for depth in (d.depth_0, d.depth_1))
        self._now = 0
        self._left = {Operation.RUN_MAP: 0, Operation.RUN_LINEAR: 0}  # what each unit stopped at

    def run_map(self, s: Settings) -> None:
        """The map unit goes over rows of outputs, tiles, steps, channels and kernel rows."""
        if s[S.MODE] == Mode.CONVOLVE:  # while its kernels come in; else it begins at once
            self._go(self._left[Operation.RUN_MAP])
        steps, channels, lines = s[S.STEPS], s[S.CHANNELS], s[S.KERNEL_ROWS]
        rows, parts = s[S.ROWS_OUT], tiles(s, self._dimensions)
        first = s[S.SOURCE] + s[S.ROW_START]
        self._go(first)
        sweeps = rows * parts
        within = (lines - 1) * steps
        self._jump(steps, sweeps * steps * channels * (lines - 1))
        self._jump(s[S.CHANNEL_STEP] - within, sweeps * steps * (channels - 1))
        # After the last channel it looks at the next step, also after the last step.
        self._jump(1 - (channels - 1) * s[S.CHANNEL_STEP] - within, sweeps * steps)
        self._jump(-steps, rows * (parts - 1))
        self._jump(s[S.ROW_STEP] - steps, rows - 1)
        self._stop(Operation.RUN_MAP, first + (rows - 1) * s[S.ROW_STEP] + steps)

    def run_linear(self, s: Settings) -> None:
        """The linear unit reads all its input once for each block of outputs."""
        self._go(self._left[Operation.RUN_LINEAR])
        blocks = -(-s[S.OUTPUTS] // self._dimensions.linear)
        words = -(-s[S.FEATURES] // s[S.COLUMNS_IN]) * s[S.STEPS]
        self._go(s[S.SOURCE])
        self._jump(1, blocks * words)
        self._jump(-words, blocks - 1)
        self._stop(Operation.RUN_LINEAR, s[S.SOURCE] + words)

    def _go(self, address: int) -> None:
        self._jump(address - self._now, 1)
        self._now = address

    def _jump(self, distance: int, times: int) -> None:
        """By so much, so often: a bank whose lower bits stay reads nothing."""
        self.reads += times * sum(distance & mask != 0 for mask in self._masks)

    def _stop(self, unit: Operation, address: int) -> None:
        self._now = self._left[unit] = address


def index_bits(depth: int) -> int:
    """``$clog2``: bits that tell so many words apart.

    >>> index_bits(2), index_bits(5), index_bits(8)
    (1, 3, 3)
    """
    return (depth - 1).bit_length()
