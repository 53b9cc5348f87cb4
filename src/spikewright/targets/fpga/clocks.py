"""How long units work, which no number on its way through them changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from spikewright.targets.fpga.control import CLOCKS, starts
from spikewright.targets.fpga.dimensions import Dimensions
from spikewright.targets.fpga.instructions import Mode, Operation, Setting

S = Setting
Settings = Mapping[Setting, int]


def clocks(words: Sequence[int], d: Dimensions) -> int:
    """Of one inference, with all streams ready: what the interpreter and the RTL count as well.

    Args:
        words: the instructions.
        d: of the accelerator.
    """
    settings = dict.fromkeys(Setting, 0)
    total = 0
    for operation, count in starts(words, settings):
        total += CLOCKS * count
        if operation != Operation.END:
            total += CLOCKS_OF[operation](settings, d)
    return total


def taps(s: Settings) -> int:
    """Positions of the windows of a run over all its channels."""
    return prod(s[each] for each in (S.CHANNELS, S.KERNEL_ROWS, S.KERNEL_COLUMNS))


def tiles(s: Settings, d: Dimensions) -> int:
    """Parts of an output row."""
    return -(-s[S.COLUMNS_OUT] // d.lanes)


def take(s: Settings, d: Dimensions) -> int:
    """The input stream into the activation memory: features + rows planes."""
    rows = -(-s[S.FEATURES] // s[S.COLUMNS_OUT])
    return s[S.FEATURES] + rows * d.planes(s[S.BITS])


def run_map(s: Settings, d: Dimensions) -> int:
    """One block of output channels; derived in ``rtl/map_unit.sv``."""
    fetched = 1 + s[S.TAPS] if s[S.MODE] == Mode.CONVOLVE else 0
    swept = tiles(s, d) * (3 + s[S.STEPS] * taps(s))
    written = s[S.COLUMNS_OUT] + 3 + s[S.UNITS] * d.planes(s[S.BITS])
    return fetched + s[S.ROWS_OUT] * (swept + written)


def run_linear(s: Settings, d: Dimensions) -> int:
    """A fully connected layer; derived in ``rtl/linear_unit.sv``."""
    features, outputs, steps = s[S.FEATURES], s[S.OUTPUTS], s[S.STEPS]
    blocks, rows = -(-outputs // d.linear), -(-features // s[S.COLUMNS_IN])
    ends = range(d.word, outputs, d.word) if s[S.BITS] else ()  # sums that go out have no rows
    stops = {*range(d.linear, outputs, d.linear), *ends, outputs}
    written = outputs + 3 * len(stops) + -(-outputs // d.word) * d.planes(s[S.BITS])
    return blocks * (2 + rows * (steps + 1) + features * steps) + written


CLOCKS_OF = {
    Operation.TAKE: take,
    Operation.RUN_MAP: run_map,
    Operation.RUN_LINEAR: run_linear,
}
