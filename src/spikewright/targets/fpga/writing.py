"""Keeps the books of a program that is being written: settings, instructions, weight words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from spikewright.targets.fpga.dimensions import Dimensions
from spikewright.targets.fpga.instructions import (
    KEEP_FROM,
    KEEP_SUMS,
    Instruction,
    Mode,
    Operation,
    Setting,
)
from spikewright.targets.fpga.memory import Whole
from spikewright.targets.fpga.placement import Map


class Writing:
    """A program that grows.

    Args:
        dimensions: of the accelerator that it is written for.
    """

    def __init__(self, dimensions: Dimensions) -> None:
        self.dimensions = dimensions
        self.instructions: list[Instruction] = []
        self.kernels: list[Whole] = []
        self.weights: list[Whole] = []
        self.kernel_biases: list[Whole] = []
        self.weight_biases: list[Whole] = []
        self._known: dict[Setting, int] = {}

    def set(self, values: dict[Setting, int]) -> None:
        """Give settings their values; those that have them already take no instruction."""
        for setting, value in values.items():
            if self._known.get(setting) != value:
                self.instructions.append(Instruction(Operation.SET, setting, value))
                self._known[setting] = value

    def step(self, setting: Setting, value: int) -> None:
        """Move a setting on; from then on its value counts as unknown, for loops repeat this."""
        self.instructions.append(Instruction(Operation.STEP, setting, value))
        self._known.pop(setting, None)

    def run(self, operation: Operation) -> None:
        """An instruction without a value."""
        self.instructions.append(Instruction(operation))

    @contextmanager
    def loop(self, times: int) -> Iterator[None]:
        """What is written inside runs so many times; once takes no loop."""
        if times == 1:
            yield
            return
        self.instructions.append(Instruction(Operation.LOOP, value=times))
        yield
        self.run(Operation.NEXT)

    def address(self, placed: Map) -> int:
        """Of the first word of a map: the top bit is the bank."""
        return placed.bank << (self.dimensions.address - 1) | placed.index

    def biases(self, numbers: list[int]) -> None:
        """Those of one run of the map unit, one for each unit."""
        self.kernel_biases.append(_filled(np.array([numbers]), self.dimensions.units))

    def kernel(self, weight: Whole) -> None:
        """Those of one run of the map unit, (outputs, taps)."""
        self.kernels.append(_filled(weight.T, self.dimensions.units))

    def matrix(self, weight: Whole, bias: Whole) -> None:
        """Of a fully connected layer, (outputs, features), block of outputs after block."""
        linear = self.dimensions.linear
        for first in range(0, len(weight), linear):
            self.weights.append(_filled(weight[first : first + linear].T, linear))
        self.weight_biases.append(bias.reshape(-1, 1))


def only_window(kind: Mode) -> dict[Setting, int]:
    """Settings of an operation on one channel at a time, without weights."""
    s = Setting
    return {s.MODE: kind, s.CHANNELS: 1, s.UNITS: 1, s.LIFT_0: 0, s.LIFT_1: 0}


def keep(place: int, count: int) -> dict[Setting, int]:
    """Of one term of several: whether its sums are kept, and whether it adds to what is kept."""
    later = KEEP_FROM if place else 0
    return {Setting.KEEP: later | (KEEP_SUMS if place < count - 1 else 0)}


def _filled(numbers: Whole, columns: int) -> Whole:
    """With columns of 0 for the units that have nothing to do."""
    return np.pad(numbers, ((0, 0), (0, columns - numbers.shape[1])))
