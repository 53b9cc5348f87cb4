"""What no spike changes: bits that go into memories and out of them, doublings, roundings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import ceil

from spikewright.targets.fpga.clocks import CLOCKS_OF, Settings, taps, tiles
from spikewright.targets.fpga.control import CLOCKS, starts
from spikewright.targets.fpga.counting.addresses import Addresses, index_bits
from spikewright.targets.fpga.footprint import WORD
from spikewright.targets.fpga.instructions import KEEP_ON, KEEP_SUMS, Mode, Operation, Setting
from spikewright.targets.fpga.program import Program

S = Setting


class Accesses:
    """What an accelerator that has just been switched on does, counted from its instructions.

    Every count is one that ``bench/activity.sv`` makes of the SystemVerilog, by the same name.

    Args:
        program: that it runs.
    """

    def __init__(self, program: Program) -> None:
        self._words, self._d = program.words, program.dimensions
        self._end = len(program.words) % 2 ** index_bits(self._d.instructions)
        self._addresses = Addresses(self._d)
        self._sums_index = 0
        self._found = Counter[str]()

    def infer(self) -> Mapping[str, int]:
        """Counts of one more inference; all after the first are alike.

        Returns:
            By the names of `Activity`; ``cycles`` too, and no ``additions``.
        """
        self._found = Counter[str](
            dict.fromkeys(("doublings", "roundings", "read_bits", "written_bits"), 0)
        )
        self._found["streamed_bits"] = 0
        before = self._addresses.reads
        settings = dict.fromkeys(Setting, 0)
        for operation, count in starts(self._words, settings):
            self._add(cycles=CLOCKS * count, read_bits=WORD * count)
            if operation != Operation.END:
                self._add(cycles=CLOCKS_OF[operation](settings, self._d))
                self._unit(operation, settings)
        words = self._addresses.reads - before
        # Past the last instruction, and back to the first.
        self._add(read_bits=words * self._d.word + WORD * (self._end != 0))
        return dict(self._found)

    def _unit(self, operation: Operation, s: Settings) -> None:
        if operation == Operation.TAKE:
            self._give(s[S.FEATURES], ceil(s[S.FEATURES] / s[S.COLUMNS_OUT]), s)
        elif operation == Operation.RUN_MAP:
            self._addresses.run_map(s)
            self._sweep(s)
            self._sums(s[S.ROWS_OUT] * s[S.COLUMNS_OUT], s)
            self._give(s[S.ROWS_OUT] * s[S.COLUMNS_OUT], s[S.ROWS_OUT], s)
        else:
            self._addresses.run_linear(s)
            self._matrix(s)
            self._sums(s[S.OUTPUTS], s)
            self._give(s[S.OUTPUTS], ceil(s[S.OUTPUTS] / self._d.word), s)

    def _add(self, **counts: int) -> None:
        self._found.update(counts)

    def _sweep(self, s: Settings) -> None:
        """Kernels come in, if there are any; then each tap is looked up in each sweep."""
        d, sweeps = self._d, s[S.ROWS_OUT] * tiles(s, self._d)
        kernel = d.units * d.weight
        if s[S.MODE] == Mode.CONVOLVE:
            self._weights(s[S.TAPS], kernel, bool(d.stream_kernels))
            self._add(written_bits=s[S.TAPS] * kernel, read_bits=d.units * d.sum)
        last = taps(s) - 1
        back = last % 2 ** index_bits(d.taps) != 0  # from the last tap to the first
        self._add(read_bits=sweeps * s[S.STEPS] * (last + back) * kernel)
        if not d.rate:
            self._add(doublings=sweeps * (s[S.STEPS] - 1) * d.units * d.lanes)

    def _matrix(self, s: Settings) -> None:
        d = self._d
        words = s[S.FEATURES] * ceil(s[S.OUTPUTS] / d.linear)
        self._weights(words, d.linear * d.weight, bool(d.stream_weights))
        self._add(read_bits=s[S.OUTPUTS] * d.sum)  # biases

    def _weights(self, words: int, bits: int, streamed: bool) -> None:
        self._add(**{"streamed_bits" if streamed else "read_bits": words * bits})

    def _sums(self, count: int, s: Settings) -> None:
        """The memory of sums that are kept for an addition is asked for each in turn."""
        if not self._d.sums:
            return
        bits = self._d.units * self._d.sum
        resumed = bool(s[S.KEEP] & KEEP_ON)
        rewound = not resumed and self._sums_index != 0
        index = count + (self._sums_index if resumed else 0)
        self._sums_index = index % 2 ** index_bits(self._d.sums)
        self._add(read_bits=(count + rewound) * bits)
        self._add(written_bits=count * bits if s[S.KEEP] & KEEP_SUMS else 0)

    def _give(self, numbers: int, rows: int, s: Settings) -> None:
        """Activations are rounded, all units at once, and written plane by plane."""
        if s[S.BITS]:
            planes = self._d.planes(s[S.BITS])
            self._add(roundings=numbers * self._d.units)
            self._add(written_bits=rows * s[S.UNITS] * planes * self._d.word)
