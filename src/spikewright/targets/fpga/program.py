"""What a network becomes: instructions and the words of the weight memories."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from spikewright.targets.fpga.dimensions import Dimensions
from spikewright.targets.fpga.instructions import Instruction, Operation, Setting, encode
from spikewright.targets.fpga.memory import Whole


@dataclass(frozen=True, eq=False)
class Program:
    """Everything that the accelerator, its interpreter and its files are made from.

    Args:
        dimensions: of the accelerator.
        instructions: in their order.
        kernels: (words, units), weights of one tap; in the order in which they are used.
        weights: (words, linear), of one feature.
        kernel_biases: (runs, units); weight_biases: (outputs, 1).
        inputs, outputs: shapes of a sample.
        layers: what each stage became, for people and reports; nothing reads it to run.
    """

    dimensions: Dimensions
    instructions: tuple[Instruction, ...]
    kernels: Whole
    weights: Whole
    kernel_biases: Whole
    weight_biases: Whole
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    layers: tuple[dict[str, Any], ...]

    @cached_property
    def words(self) -> tuple[int, ...]:
        """The instructions as words of 32 bits."""
        return tuple(encode(each) for each in self.instructions)

    @cached_property
    def bits(self) -> int:
        """Of an input: what was set last before it is taken."""
        bits = 0
        for operation, setting, value in self.instructions:
            if operation == Operation.TAKE:
                break
            if operation == Operation.SET and setting == Setting.BITS:
                bits = value
        return bits
