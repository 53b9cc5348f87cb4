"""Runs a program's instructions on its memory images, as the accelerator does, in NumPy.

It knows nothing of the network: what it reads are instructions, weight words and bit planes. Steps
of the spike trains are worked out one after another, m <- 2 m + sum of the weights with a spike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spikewright.errors import ShapeError
from spikewright.targets.fpga.clocks import CLOCKS_OF
from spikewright.targets.fpga.control import CLOCKS, starts
from spikewright.targets.fpga.instructions import Mode, Operation, Setting
from spikewright.targets.fpga.machine import Machine
from spikewright.targets.fpga.memory import Whole
from spikewright.targets.fpga.program import Program
from spikewright.targets.fpga.sweeping import accumulated, linear, maxima

S = Setting
PART = 64
"""Samples that are worked out side by side; more would only take more memory."""
Watch = Callable[[Machine, Operation], object]


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Args:
        results: (batch, *outputs).
        cycles: of the clock for one sample, with all streams ready.
        saturated: (batch,), activations that were larger than their layer's largest.
        stalls: (batch,), clocks that waited for a stream on top of ``cycles``.
    """

    results: Whole
    cycles: int
    saturated: Whole
    stalls: Whole


def interpret(program: Program, q: Whole, watch: Watch | None = None) -> Outcome:
    """What the accelerator answers to inputs (batch, *program.inputs).

    Args:
        q: whole numbers.
        watch: called whenever a unit is about to start, with some of the samples.

    Raises:
        ShapeError: another shape.

    >>> import torch
    >>> from spikewright.targets.fpga.assemble import assemble
    >>> from spikewright.targets.fpga.integer import INPUT, Dense, IntegerNetwork, Stage
    >>> dense = Dense(torch.tensor([[1, -2], [3, 1]]), torch.tensor([0, 1]))
    >>> program = assemble(IntegerNetwork((2,), 2, (Stage("out", (INPUT,), dense),)))
    >>> outcome = interpret(program, np.array([[3, 1]]))
    >>> outcome.results.tolist(), outcome.cycles
    ([[1, 11]], 50)
    """
    numbers = checked(program, q)
    parts = [_run(program, numbers[k : k + PART], watch) for k in range(0, len(numbers), PART)]
    return Outcome(
        np.concatenate([part.results for part in parts]),
        parts[0].cycles,
        np.concatenate([part.saturated for part in parts]),
        np.concatenate([part.stalls for part in parts]),
    )


def _run(program: Program, numbers: Whole, watch: Watch | None) -> Outcome:
    """Of samples that are worked out side by side."""
    machine = Machine(program, numbers)
    for operation, count in starts(program.words, machine.settings):
        machine.cycles += CLOCKS * count
        if operation != Operation.END:
            machine.cycles += CLOCKS_OF[operation](machine.settings, program.dimensions)
            if watch is not None:
                watch(machine, operation)
            UNITS[operation](machine)
    return machine.outcome(program.outputs)


def checked(program: Program, q: Whole) -> Whole:
    """Inputs as a flat array (batch, numbers).

    Raises:
        ShapeError: another shape, no sample, or numbers that are not whole or out of range.
    """
    q = np.asarray(q)
    if q.shape[1:] != program.inputs:
        raise ShapeError(
            f"fpga: input must be (batch, {', '.join(map(str, program.inputs))}), got {q.shape}. "
            "Give samples of the network's shape."
        )
    most = 2**program.bits - 1
    if not len(q) or not ((q >= 0) & (q <= most) & (q == np.floor(q))).all():
        raise ShapeError(
            f"fpga: input must be at least one sample of whole numbers from 0 to {most}, got "
            f"{len(q)} samples{' with others' if len(q) else ''}. Encode them first."
        )
    return q.reshape(len(q), -1).astype(np.int64)


def take(machine: Machine) -> None:
    """The input stream into the activation memory."""
    features, columns = machine[S.FEATURES], machine[S.COLUMNS_OUT]
    rows = -(-features // columns)
    machine.write(machine.rows_of(machine.q[:, :features], rows, columns)[:, None])


def run_map(machine: Machine) -> None:
    """One block of output channels."""
    mode = machine[S.MODE]
    if mode == Mode.MAXIMUM:
        sums = maxima(machine)[:, None]
    else:
        sums = accumulated(machine, operands(machine))
    if mode == Mode.CONVOLVE:
        sums = sums + machine.kernel_biases.pop(1)[0][:, None, None]
    machine.give(machine.added(sums[:, : machine[S.UNITS]]))


def run_linear(machine: Machine) -> None:
    """A fully connected layer."""
    word = machine.dimensions.word
    outputs, bits = machine[S.OUTPUTS], machine[S.BITS]
    weight = matrix(machine)
    machine.weights.pop(len(weight) * -(-outputs // machine.dimensions.linear))
    bias = machine.weight_biases.pop(outputs)[:, 0]
    sums = (linear(machine, weight) << machine.lift) + bias
    sums = machine.added(sums[:, None, None])[:, 0, 0]
    sums = machine.rows_of(sums, -(-outputs // word), word) if bits else sums[:, None]
    machine.give(sums[:, None])


def matrix(machine: Machine) -> Whole:
    """The weights that a linear layer is about to take, (features, outputs)."""
    features, outputs = machine[S.FEATURES], machine[S.OUTPUTS]
    blocks = -(-outputs // machine.dimensions.linear)
    words = machine.weights.ahead(blocks * features).reshape(blocks, features, -1)
    return np.concatenate([*words], 1)[:, :outputs]


def operands(machine: Machine) -> Whole:
    """What a spike adds, (taps, units): weights, or powers of two.

    Adding, the first unit takes all channels; otherwise each takes a channel of its own.
    """
    if machine[S.MODE] == Mode.CONVOLVE:
        return machine.kernels.pop(machine[S.TAPS]) << machine.lift
    each = machine[S.KERNEL_ROWS] * machine[S.KERNEL_COLUMNS]
    channels = machine[S.CHANNELS]
    lifts = np.array([machine[S.LIFT_0]] + [machine[S.LIFT_1]] * (channels - 1), np.int64)
    units = 1 if machine[S.MODE] == Mode.ADD else machine[S.UNITS]
    mine = np.eye(channels, units, dtype=np.int64) if units > 1 else np.ones((channels, 1), int)
    return np.repeat(mine << lifts[:, None], each, axis=0)


UNITS = {Operation.TAKE: take, Operation.RUN_MAP: run_map, Operation.RUN_LINEAR: run_linear}
