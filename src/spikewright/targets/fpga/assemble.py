"""From an `IntegerNetwork` to a `Program`: layer by layer, each one or a few runs of a unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from math import prod

import numpy as np

from spikewright.errors import CompileError
from spikewright.targets.fpga.dimensions import Dimensions, Hardware
from spikewright.targets.fpga.integer import INPUT, IntegerNetwork
from spikewright.targets.fpga.lowering import Lowering
from spikewright.targets.fpga.memory import Whole
from spikewright.targets.fpga.program import Program
from spikewright.targets.fpga.shapes import output_shapes, required
from spikewright.targets.fpga.terms import check_terms
from spikewright.targets.fpga.writing import Writing

RATE_BITS = 8
"""Most bits of an activation whose steps a rate code can take: rows are collected step by step."""


def assemble(
    network: IntegerNetwork,
    hardware: Hardware | None = None,
    at_least: Dimensions | None = None,
) -> Program:
    """The program with which an accelerator computes what ``network.run`` does, bit for bit.

    Args:
        network: what it computes.
        hardware: what it does at once.
        at_least: dimensions that the accelerator must have anyway. Programs written with the same
            dimensions run on the same accelerator, see `Dimensions.union`.

    Raises:
        CompileError: a stage that no unit can work out, named; numbers that are too large.

    >>> import torch
    >>> from spikewright.targets.fpga.integer import Dense, Stage
    >>> dense = Dense(torch.tensor([[1, -2], [3, 1]]), torch.tensor([0, 1]))
    >>> program = assemble(IntegerNetwork((2,), 2, (Stage("out", (INPUT,), dense),)))
    >>> program.weights[:, :2].tolist(), program.dimensions.sum
    ([[1, 3], [-2, 1]], 5)
    """
    hardware = Hardware() if hardware is None else hardware
    _check(network)
    dimensions = required(network, hardware, at_least)
    _check_rate(dimensions)
    # Addresses depend on how deep the banks are, which is known only when all is placed.
    program = _assembled(network, dimensions)
    return _assembled(network, program.dimensions)


def assemble_together(networks: Sequence[IntegerNetwork], hardware: Hardware) -> list[Program]:
    """Programs that all run on one accelerator, which is as large as any of them needs.

    Raises:
        CompileError: see `assemble`.
    """
    programs = [assemble(network, hardware) for network in networks]
    while len({program.dimensions for program in programs}) > 1:
        largest = reduce(Dimensions.union, (program.dimensions for program in programs))
        programs = [assemble(network, hardware, largest) for network in networks]
    return programs


def _assembled(network: IntegerNetwork, dimensions: Dimensions) -> Program:
    writing = Writing(dimensions)
    lowering = Lowering(network, writing)
    lowering.write()
    banks = lowering.banks.depth
    deep = Dimensions(
        address=1 + max(1, max(depth - 1 for depth in banks).bit_length()),
        depth_0=banks[0],
        depth_1=banks[1],
        value=_value_bits(writing),
        instructions=len(writing.instructions),
        kernels=sum(map(len, writing.kernels)),
        weights=sum(map(len, writing.weights)),
        kernel_biases=sum(map(len, writing.kernel_biases)),
        weight_biases=sum(map(len, writing.weight_biases)),
    )
    found = dimensions.union(deep)
    found = replace(found, value=max(found.value, _narrowest(found)))
    shapes = output_shapes(network)
    return Program(
        found,
        tuple(writing.instructions),
        _joined(writing.kernels, found.units),
        _joined(writing.weights, found.linear),
        _joined(writing.kernel_biases, found.units),
        _joined(writing.weight_biases, 1),
        network.shape,
        shapes[network.stages[-1].name],
        tuple(lowering.layers),
    )


def _joined(parts: list[Whole], columns: int) -> Whole:
    return np.concatenate([np.zeros((0, columns), np.int64), *parts])


def _value_bits(writing: Writing) -> int:
    return max(max(each.value, 0).bit_length() for each in writing.instructions) + 1


def _narrowest(d: Dimensions) -> int:
    """Bits of a setting that the modules read at least, whatever its value."""
    planes = (d.units * d.planes(d.activation)).bit_length()
    kept = 3 if d.sums else 0
    shift = (d.sum + d.left + 1).bit_length()
    return max(d.address, d.offset, planes, shift, kept, d.word.bit_length())


def _check_rate(dimensions: Dimensions) -> None:
    if dimensions.rate and dimensions.activation > RATE_BITS:
        raise CompileError(
            f"fpga.assemble: activations sent as rates must have at most {RATE_BITS} bits, got "
            f"{dimensions.activation}, {dimensions.planes(dimensions.activation):,} steps. Use "
            "fewer bits, or code='radix'."
        )


def _check(network: IntegerNetwork) -> None:
    check_terms(network)
    shapes = output_shapes(network)
    for name, shape in (*shapes.items(), (INPUT, network.shape)):
        if len(shape) not in (1, 3) or prod(shape) < 1:
            raise CompileError(
                f"fpga.assemble: {name!r} must be (features,) or (channels, rows, columns), got "
                f"{shape}. Reshape it; one-dimensional maps have one row."
            )
    if network.bits > 8:
        raise CompileError(
            f"fpga.assemble: the input must have at most 8 bits, got {network.bits}. "
            "Its stream is a byte wide."
        )
