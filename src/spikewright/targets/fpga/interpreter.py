"""Runs a program's instructions on its memory images, as the accelerator does, in NumPy.

It knows nothing of the network: what it reads are instructions, weight words and bit planes. Steps
of the spike trains are worked out one after another, m <- 2 m + sum of the weights with a spike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikewright.errors import ShapeError
from spikewright.targets.fpga.instructions import Mode, Operation, Setting, decode
from spikewright.targets.fpga.machine import Machine
from spikewright.targets.fpga.memory import Whole
from spikewright.targets.fpga.program import Program
from spikewright.targets.fpga.sweeping import accumulated, linear, maxima

S = Setting
PART = 64
"""Samples that are worked out side by side; more would only take more memory."""


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


def interpret(program: Program, q: Whole) -> Outcome:
    """What the accelerator answers to inputs (batch, *program.inputs).

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
    parts = [_run(program, numbers[k : k + PART]) for k in range(0, len(numbers), PART)]
    return Outcome(
        np.concatenate([part.results for part in parts]),
        parts[0].cycles,
        np.concatenate([part.saturated for part in parts]),
        np.concatenate([part.stalls for part in parts]),
    )


def _run(program: Program, numbers: Whole) -> Outcome:
    """Of samples that are worked out side by side."""
    machine = Machine(program, numbers)
    loop, left, index, running = 0, 0, 0, True
    while running:
        operation, setting, value = decode(program.words[index])
        machine.cycles += 2
        index += 1
        if operation == Operation.SET:
            machine.settings[setting] = value
        elif operation == Operation.STEP:
            machine.settings[setting] += value
        elif operation == Operation.LOOP:
            loop, left = index, value
        elif operation == Operation.NEXT:
            left -= 1
            index = loop if left else index
        elif operation == Operation.END:
            running = False
        else:
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
    """The input stream into the activation memory: features + rows planes clocks."""
    features, columns = machine[S.FEATURES], machine[S.COLUMNS_OUT]
    rows = -(-features // columns)
    machine.write(machine.rows_of(machine.q[:, :features], rows, columns)[:, None])
    machine.cycles += features + rows * machine.planes


def run_map(machine: Machine) -> None:
    """One block of output channels; the clocks are derived in ``rtl/map_unit.sv``."""
    mode, steps = machine[S.MODE], machine[S.STEPS]
    rows, columns, planes = machine[S.ROWS_OUT], machine[S.COLUMNS_OUT], machine.planes
    taps = machine[S.CHANNELS] * machine[S.KERNEL_ROWS] * machine[S.KERNEL_COLUMNS]
    if mode == Mode.MAXIMUM:
        sums = maxima(machine)[:, None]
    else:
        sums = accumulated(machine, operands(machine))
    if mode == Mode.CONVOLVE:
        machine.cycles += 1 + machine[S.TAPS]
        sums = sums + machine.kernel_biases.pop(1)[0][:, None, None]
    tiles = -(-columns // machine.dimensions.lanes)
    each = tiles * (3 + steps * taps) + columns + 3 + machine[S.UNITS] * planes
    machine.cycles += rows * each
    machine.give(machine.added(sums[:, : machine[S.UNITS]]))


def run_linear(machine: Machine) -> None:
    """A fully connected layer; the clocks are derived in ``rtl/linear_unit.sv``."""
    word, lanes = machine.dimensions.word, machine.dimensions.linear
    features, outputs, bits = machine[S.FEATURES], machine[S.OUTPUTS], machine[S.BITS]
    steps = machine[S.STEPS]
    blocks, rows = -(-outputs // lanes), -(-features // machine[S.COLUMNS_IN])
    weight = np.concatenate([machine.weights.pop(features) for _ in range(blocks)], 1)
    bias = machine.weight_biases.pop(outputs)[:, 0]
    sums = (linear(machine, weight[:, :outputs]) << machine.lift) + bias
    sums = machine.added(sums[:, None, None])[:, 0, 0]
    ends = range(word, outputs, word) if bits else ()  # sums that go out have no rows
    stops = {*range(lanes, outputs, lanes), *ends, outputs}
    rows_out = -(-outputs // word)
    machine.cycles += blocks * (2 + rows * (steps + 1) + features * steps)
    machine.cycles += outputs + 3 * len(stops) + rows_out * machine.planes
    sums = machine.rows_of(sums, rows_out, word) if bits else sums[:, None]
    machine.give(sums[:, None])


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
