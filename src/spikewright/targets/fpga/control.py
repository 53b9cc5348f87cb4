"""How the sequencer goes through a program: loops, settings, and the units that it starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spikewright.targets.fpga.instructions import Operation, Setting, decode

CLOCKS = 2
"""Of an instruction; those that start a unit also wait for it."""


def starts(words: Sequence[int], settings: dict[Setting, int]) -> Iterator[tuple[Operation, int]]:
    """Each unit that is started and, last, END, with how many instructions that took.

    Args:
        words: the instructions.
        settings: at the start; whenever something is started they are what it finds.

    >>> from spikewright.targets.fpga.instructions import Instruction, encode
    >>> program = [
    ...     Instruction(Operation.LOOP, value=2), Instruction(Operation.STEP, Setting.SOURCE, 3),
    ...     Instruction(Operation.RUN_MAP), Instruction(Operation.NEXT), Instruction(Operation.END)]
    >>> settings = dict.fromkeys(Setting, 0)
    >>> [(str(operation), count, settings[Setting.SOURCE])
    ...  for operation, count in starts([encode(each) for each in program], settings)]
    [('6', 3, 3), ('6', 3, 6), ('0', 2, 6)]
    """
    instructions = [decode(word) for word in words]
    loop, left, index, count = 0, 0, 0, 0
    while True:
        operation, setting, value = instructions[index]
        count += 1
        index += 1
        if operation == Operation.SET:
            settings[setting] = value
        elif operation == Operation.STEP:
            settings[setting] += value
        elif operation == Operation.LOOP:
            loop, left = index, value
        elif operation == Operation.NEXT:
            left -= 1
            index = loop if left else index
        else:
            yield operation, count
            count = 0
            if operation == Operation.END:
                return
