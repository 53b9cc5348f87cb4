"""What the interpreter keeps: settings, the activation memory, weight streams, results."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikewright.targets.fpga.instructions import Setting
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

    def pop(self, count: int) -> Whole:
        """The next ones, (count, numbers of a word)."""
        self.place += count
        return self.words[self.place - count : self.place]


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
        self.kernels, self.weights = Stream(program.kernels), Stream(program.weights)
        self.kernel_biases = Stream(program.kernel_biases)
        self.weight_biases = Stream(program.weight_biases)
        self.cycles = 0
        self.saturated = np.zeros(len(q), np.int64)
        self._results: list[Whole] = []

    def __getitem__(self, setting: Setting) -> int:
        return self.settings[setting]

    def read(self, addresses: Whole) -> NDArray[np.uint8]:
        """Words, (batch, *addresses, columns)."""
        return self.memory[:, addresses % 2**self.dimensions.address]

    def write(self, q: Whole) -> None:
        """Activations (batch, channels, rows, columns), as bit planes, first bit first."""
        bits = self[S.BITS]
        planes = q[..., None, :] >> np.arange(bits - 1, -1, -1)[:, None] & 1
        _, channels, rows, _, columns = planes.shape
        addresses = (
            self[S.TARGET]
            + self[S.TARGET_STEP] * np.arange(channels)[:, None, None]
            + bits * np.arange(rows)[:, None]
            + np.arange(bits)
        )
        self.memory[:, addresses] = 0  # what is beyond the last column
        self.memory[:, addresses, :columns] = planes

    def give(self, sums: Whole) -> None:
        """Sums (batch, channels, rows, columns): requantised, or as they are to the results."""
        bits = self[S.BITS]
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
