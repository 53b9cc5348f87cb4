"""What the interpreter keeps: settings, the activation memory, weight streams, results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikewright.targets.fpga.instructions import KEEP_FROM, KEEP_ON, KEEP_SUMS, Setting
from spikewright.targets.fpga.memory import Whole
from spikewright.targets.fpga.program import Program

if TYPE_CHECKING:
    from spikewright.targets.fpga.interpreter import Outcome

S = Setting


@dataclass
class Stream:
    """Words that are handed out one after another."""

    words: Whole
    place: int = 0

    def ahead(self, count: int) -> Whole:
        """The next ones, (count, numbers of a word), which stay where they are."""
        return self.words[self.place : self.place + count]

    def pop(self, count: int) -> Whole:
        """The next ones, (count, numbers of a word)."""
        words = self.ahead(count)
        self.place += count
        return words


class Machine:
    """The state of an accelerator that works on a batch of samples side by side.

    Args:
        program: what it runs.
        q: (batch, numbers), the input stream of each sample.
    """

    memory: NDArray[np.uint8]
    """(batch, address, column), each 0 or 1."""

    def __init__(self, program: Program, q: Whole) -> None:
        d = program.dimensions
        self.dimensions, self.q = d, q
        self.settings = dict.fromkeys(Setting, 0)
        self.memory = np.zeros((len(q), 2**d.address, d.word), np.uint8)
        self._made: dict[Callable[[Machine], NDArray[Any]], NDArray[Any]] = {}
        self._made_with: tuple[int, ...] = ()
        self._read = np.zeros(2**d.address, np.bool_)  # of which addresses that was made
        self.kernels, self.weights = Stream(program.kernels), Stream(program.weights)
        self.kernel_biases = Stream(program.kernel_biases)
        self.weight_biases = Stream(program.weight_biases)
        self.cycles = 0
        self.saturated = np.zeros(len(q), np.int64)
        self._results: list[Whole] = []
        self._kept = np.zeros((len(q), d.sums, d.units), np.int64)
        self._place = 0

    def __getitem__(self, setting: Setting) -> int:
        return self.settings[setting]

    @property
    def planes(self) -> int:
        """Of an activation that is written."""
        return self.dimensions.planes(self[S.BITS])

    @property
    def base(self) -> int:
        """How much more a spike counts than one a step later."""
        return 1 if self.dimensions.rate else 2

    @property
    def lift(self) -> int:
        """By how much weights are shifted; an accelerator without shifters reads no setting."""
        return self[S.LIFT_0] if self.dimensions.lift else 0

    def read(self, addresses: Whole) -> NDArray[np.uint8]:
        """Words, (batch, *addresses, columns)."""
        places = addresses % 2**self.dimensions.address
        self._read[places] = True
        return self.memory[:, places]

    def kept_or_made(self, make: Callable[[Machine], NDArray[Any]]) -> NDArray[Any]:
        """What was made last, if it would be the same again: one layer's runs read the same.

        Only the kernel and where its sums go may differ, and no word that was read is written
        in between.
        """
        key = tuple(value for setting, value in self.settings.items() if setting != S.TARGET)
        if self._made_with != key:
            self._made_with = key
            self._made.clear()
            self._read[:] = False
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]

    def write(self, q: Whole) -> None:
        """Activations (batch, channels, rows, columns), as planes of spikes, first step first."""
        steps = np.arange(self.planes - 1, -1, -1)[:, None]
        planes = q[..., None, :] > steps if self.dimensions.rate else q[..., None, :] >> steps & 1
        _, channels, rows, _, columns = planes.shape
        addresses = (
            self[S.TARGET]
            + self[S.TARGET_STEP] * np.arange(channels)[:, None, None]
            + self.planes * np.arange(rows)[:, None]
            + np.arange(self.planes)
        )
        if self._read[addresses].any():
            self._made.clear()
        self.memory[:, addresses] = 0  # what is beyond the last column
        self.memory[:, addresses, :columns] = planes

    def added(self, sums: Whole) -> Whole:
        """Sums (batch, channels, rows, columns) and what was kept; kept themselves if asked to."""
        keep = self[S.KEEP]
        batch, units, rows, columns = sums.shape
        first = self._place if keep & KEEP_ON else 0
        self._place = first + rows * columns
        if not keep:
            return sums
        place = slice(first, self._place), slice(units)
        words = np.moveaxis(sums, 1, -1).reshape(batch, -1, units)
        if keep & KEEP_FROM:
            words = words + self._kept[:, *place]
        if keep & KEEP_SUMS:
            self._kept[:, *place] = words
        return np.moveaxis(words.reshape(batch, rows, columns, units), -1, 1)

    def give(self, sums: Whole) -> None:
        """Sums (batch, channels, rows, columns): requantised, or as they are to the results."""
        bits = self[S.BITS]
        if self[S.KEEP] & KEEP_SUMS:
            return
        if not bits:
            self._results.append(sums.reshape(len(sums), -1))
            return
        shift = self[S.SHIFT] - self.dimensions.left
        doubled = sums << 1 - shift if shift <= 0 else sums >> shift - 1
        rounded = (doubled >> 1) + (doubled & 1)
        self.saturated += (rounded >= 2**bits).reshape(len(sums), -1).sum(1)
        self.write(rounded.clip(0, 2**bits - 1))

    def rows_of(self, numbers: Whole, rows: int, columns: int) -> Whole:
        """Numbers (batch, n) as rows, the last filled up with 0."""
        filled = np.pad(numbers, ((0, 0), (0, rows * columns - numbers.shape[1])))
        return filled.reshape(len(numbers), rows, columns)

    def outcome(self, shape: tuple[int, ...]) -> Outcome:
        """What came of it."""
        from spikewright.targets.fpga.interpreter import Outcome

        results = np.concatenate(self._results, 1)[:, : prod(shape)]
        batch = len(results)
        zero = np.zeros(batch, np.int64)
        return Outcome(results.reshape(batch, *shape), self.cycles, self.saturated, zero)
