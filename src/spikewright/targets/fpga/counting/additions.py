"""Additions that the spikes of some inputs cause, counted while the interpreter works on them."""

from __future__ import annotations

import numpy as np

from spikewright.targets.fpga.instructions import Mode, Operation, Setting
from spikewright.targets.fpga.interpreter import interpret, matrix
from spikewright.targets.fpga.machine import Machine
from spikewright.targets.fpga.memory import Whole
from spikewright.targets.fpga.program import Program
from spikewright.targets.fpga.sweeping import feature_spikes, seen_spikes

S = Setting


class Additions:
    """Counts what accumulators add, as a watcher of `interpret`; see `Activity.additions`.

    Attributes:
        total: over all samples that it has seen.
    """

    def __init__(self) -> None:
        self.total = 0

    def __call__(self, machine: Machine, operation: Operation) -> None:
        """Before a unit starts."""
        if operation == Operation.RUN_MAP:
            seen = machine.kept_or_made(seen_spikes)
            self.total += int(seen @ _adders(machine))
        elif operation == Operation.RUN_LINEAR:
            spikes = sum(each.sum(0, dtype=np.int64) for each in feature_spikes(machine))
            self.total += int(spikes @ np.count_nonzero(matrix(machine), 1))


def additions(program: Program, q: Whole) -> int:
    """Over all samples of inputs (batch, *program.inputs).

    How many channels and outputs are worked out at once, and where weights come from, changes
    nothing: programs of one network differ in this only by their lanes, words and code.

    Raises:
        ShapeError: another shape.

    >>> import torch
    >>> from spikewright.targets.fpga.assemble import assemble
    >>> from spikewright.targets.fpga.integer import INPUT, Dense, IntegerNetwork, Stage
    >>> dense = Dense(torch.tensor([[1, 0], [3, 1]]), torch.tensor([0, 1]))
    >>> program = assemble(IntegerNetwork((2,), 2, (Stage("out", (INPUT,), dense),)))
    >>> additions(program, np.array([[3, 2]]))  # two spikes at two weights, one at one
    5
    """
    watch = Additions()
    interpret(program, q, watch)
    return watch.total


def _adders(machine: Machine) -> Whole:
    """By tap, the units whose operand is not 0, (taps,).

    Also of what is no convolution: maxima, which the accumulators of the first unit add up beside,
    additions in the first unit, and terms, each in the unit of its channel.
    """
    if machine[S.MODE] == Mode.CONVOLVE:
        return np.count_nonzero(machine.kernels.ahead(machine[S.TAPS]), 1)
    channel = np.arange(machine[S.CHANNELS])
    adds = channel < machine.dimensions.units if machine[S.MODE] == Mode.OWN else channel >= 0
    return np.repeat(adds, machine[S.KERNEL_ROWS] * machine[S.KERNEL_COLUMNS]).astype(np.int64)
