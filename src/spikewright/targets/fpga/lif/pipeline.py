"""Where a neuron's step is cut by registers, so that no clock has too much to do."""

from __future__ import annotations

from collections.abc import Mapping

from spikewright.targets.fpga.lif.operations import OPERATIONS, SHIFT_ADDS, width
from spikewright.targets.fpga.lif.signed_digits import signed_digits
from spikewright.targets.fpga.lif.step import FixedStep, Line, Operand

BUDGET = 9.0
"""What one clock may hold, in delays of about one nanosecond on a small FPGA."""
_GATE, _CHOICE, _CARRY, _BIT, _MULTIPLIER = 1.0, 1.5, 2.0, 0.05, 6.0
_WIRES = ("shl", "shr", "number")


def stages(step: FixedStep) -> Mapping[str, int]:
    """In which clock each name is there, arguments in clock 0.

    A line follows its operands in their clock while the delays of such a chain, by an estimate,
    stay within `BUDGET`; else a register comes before it.
    """
    arguments = step.ranges.keys() - {line.target for line in step.lines}
    when: dict[str, tuple[int, float]] = dict.fromkeys(arguments, (0, 0.0))
    for line in step.lines:
        operands = (when[o] for o in line.operands if isinstance(o, str))
        stage, spent = max(operands, default=(0, 0.0))
        delay = _delay(line, step)
        fits = spent + delay <= BUDGET or spent == 0
        when[line.target] = (stage, spent + delay) if fits else (stage + 1, delay)
    return {name: stage for name, (stage, _) in when.items()}


def depth(step: FixedStep) -> int:
    """Ranks of registers within a neuron: so many clocks after its operands its answer is there."""
    return max(stages(step).values())


def _delay(line: Line, step: FixedStep) -> float:
    """An estimate: a carry chain grows with its bits, a product with a constant is the slowest."""
    names = [o for o in line.operands if isinstance(o, str)]
    carry = _CARRY + _BIT * max(width(step.ranges[name]) for name in (line.target, *names))
    match line.operation:
        case "mul":
            return _product(line.operands, carry)
        case "select":
            return _CHOICE
        case "max" | "min":
            return carry + _CHOICE
        case "and" | "or" | "xor" | "not":
            return _GATE
        case operation:
            assert operation in OPERATIONS
            return 0.0 if operation in _WIRES else carry


def _product(operands: tuple[Operand, ...], carry: float) -> float:
    """Of a few signed digits the sum, else a multiplier."""
    digits = [len(signed_digits(o)) for o in operands if isinstance(o, int)]
    return carry * (digits[0] - 1) if digits and digits[0] <= SHIFT_ADDS else _MULTIPLIER
