"""The accelerator's instructions: 32 bits, [31:28] operation, [27:23] setting, [22:0] value.

The same numbers, and what each setting means, stand in ``rtl/instruction_pkg.sv``.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from spikewright.errors import CompileError, ProgramError

VALUE_BITS = 23

Operation = IntEnum(
    "Operation", ("END", "SET", "STEP", "LOOP", "NEXT", "TAKE", "RUN_MAP", "RUN_LINEAR"), start=0
)
"""What is done: END, SET a setting, STEP it on, LOOP up to NEXT, TAKE the input, RUN a unit."""
Mode = IntEnum("Mode", ("CONVOLVE", "MAXIMUM", "ADD", "OWN"), start=0)
"""Of RUN_MAP."""
KEEP_SUMS, KEEP_FROM, KEEP_ON = 1, 2, 4
"""Bits of the setting KEEP."""


class Setting(IntEnum):
    """What a unit reads; see ``rtl/instruction_pkg.sv``."""

    SOURCE = 0
    TARGET = 1
    CHANNEL_STEP = 2
    TARGET_STEP = 3
    ROW_STEP = 4
    ROW_START = 5
    STEPS = 6
    CHANNELS = 7
    ROWS_IN = 8
    KERNEL_ROWS = 9
    KERNEL_COLUMNS = 10
    STRIDE_ROWS = 11
    PAD_ROWS = 12
    ROWS_OUT = 13
    COLUMNS_OUT = 14
    OFFSET = 15
    TILE_STEP = 16
    STRIDE_COLUMNS = 17
    UNITS = 18
    MODE = 19
    LIFT_0 = 20
    LIFT_1 = 21
    SHIFT = 22
    BITS = 23
    FEATURES = 24
    COLUMNS_IN = 25
    OUTPUTS = 26
    RESULTS = 27
    TAPS = 28
    KEEP = 29


class Instruction(NamedTuple):
    """One instruction.

    Args:
        operation: what is done.
        setting: of SET and STEP.
        value: of SET, STEP and LOOP; may be negative.

    >>> print(Instruction(Operation.SET, Setting.STEPS, 4))
    SET STEPS 4
    """

    operation: Operation
    setting: Setting = Setting.SOURCE
    value: int = 0

    def __str__(self) -> str:
        words = [self.operation.name]
        if self.operation in (Operation.SET, Operation.STEP):
            words.append(self.setting.name)
        if self.operation in (Operation.SET, Operation.STEP, Operation.LOOP):
            words.append(str(self.value))
        return " ".join(words)


def encode(instruction: Instruction) -> int:
    """The word of an instruction.

    Raises:
        CompileError: a value that 23 bits do not hold.

    >>> hex(encode(Instruction(Operation.STEP, Setting.TARGET, -1)))
    '0x20ffffff'
    """
    operation, setting, value = instruction
    if not -(2 ** (VALUE_BITS - 1)) <= value < 2 ** (VALUE_BITS - 1):
        raise CompileError(
            f"fpga.instructions: the value of {instruction} must lie within "
            f"±{2 ** (VALUE_BITS - 1):,}, got {value:,}. Use a smaller layer."
        )
    return operation << 28 | setting << VALUE_BITS | value % 2**VALUE_BITS


def decode(word: int) -> Instruction:
    """The instruction of a word.

    Raises:
        ProgramError: no such operation or setting.

    >>> print(decode(0x20ffffff))
    STEP TARGET -1
    """
    value = word % 2**VALUE_BITS
    if value >= 2 ** (VALUE_BITS - 1):
        value -= 2**VALUE_BITS
    try:
        return Instruction(Operation(word >> 28), Setting((word >> VALUE_BITS) % 32), value)
    except ValueError as cause:
        raise ProgramError(
            f"fpga.instructions: a word must hold an instruction, got {word:#010x} ({cause}). "
            "Compile the network again."
        ) from cause


def listing(program: Sequence[Instruction]) -> str:
    """The instructions as text, one a line, loops set in.

    >>> loop = [Instruction(Operation.LOOP, value=3), Instruction(Operation.RUN_MAP)]
    >>> print(listing([*loop, Instruction(Operation.NEXT), Instruction(Operation.END)]))
    LOOP 3
      RUN_MAP
    NEXT
    END
    """
    lines: list[str] = []
    inside = False
    for instruction in program:
        inside = inside and instruction.operation != Operation.NEXT
        lines.append("  " * inside + str(instruction))
        inside = inside or instruction.operation == Operation.LOOP
    return "\n".join(lines)
