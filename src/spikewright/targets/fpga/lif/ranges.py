"""What range every number of a step has, and so whether a state can leave its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spikewright.targets.fpga.lif.operations import OPERATIONS, Range
from spikewright.targets.fpga.lif.step import Field, Line, Operand

ROUNDS = 256
"""After so many steps without a proof there is none."""


def ranges_of(lines: Sequence[Line], given: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges of all names; ``given`` holds those of the arguments."""
    ranges, made = dict(given), {line.target: line for line in lines}
    for line in lines:
        operands = [_range(o, ranges) for o in line.operands]
        if line.operation == "select":
            ranges[line.target] = _selected(line, made, ranges)
        else:
            ranges[line.target] = OPERATIONS[line.operation].bounds(*operands)
    return ranges


def reached(
    lines: Sequence[Line],
    fields: Sequence[Field],
    after: Sequence[Operand],
    given: Mapping[str, Range],
) -> tuple[dict[str, Range], dict[str, Range]]:
    """Ranges of all names, and of what each field becomes before it is cut to its range.

    Starts from fields that may hold anything and steps: what cannot come out of one step is no
    state of the next. A field whose second range fits into it never saturates.
    """
    states = {field.argument: field.range for field in fields}
    before, ranges = dict[str, Range](), dict[str, Range]()
    for _ in range(ROUNDS):
        ranges = ranges_of(lines, {**given, **states})
        pairs = list(zip(fields, after, strict=True))
        before = {field.argument: _range(made, ranges) for field, made in pairs}
        narrowed = {
            field.argument: _cut(_with(before[field.argument], field.initial), field.range)
            for field in fields
        }
        if narrowed == states or all(fits(before[f.argument], f.range) for f in fields):
            break
        states = narrowed
    return ranges, before


def fits(inner: Range, outer: Range) -> bool:
    """Whether a range lies within another."""
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _range(operand: Operand, ranges: Mapping[str, Range]) -> Range:
    return ranges[operand] if isinstance(operand, str) else (operand, operand)


def _with(found: Range, number: int) -> Range:
    return min(found[0], number), max(found[1], number)


def _cut(inner: Range, outer: Range) -> Range:
    return max(min(inner[0], outer[1]), outer[0]), min(max(inner[1], outer[0]), outer[1])


def _selected(line: Line, made: Mapping[str, Line], ranges: Mapping[str, Range]) -> Range:
    """Each choice counts only for numbers with which it is chosen: below threshold, v is small."""
    condition, *choices = line.operands
    test = made.get(condition) if isinstance(condition, str) else None
    found: list[Range] = []
    for choice, holds in zip(choices, (True, False), strict=True):
        low, high = _range(choice, ranges)
        if test is not None and choice == test.operands[0]:
            low, high = _told(test, holds, (low, high), ranges)
        if low <= high:
            found.append((low, high))
    return min(low for low, _ in found), max(high for _, high in found)


def _told(test: Line, holds: bool, own: Range, ranges: Mapping[str, Range]) -> Range:
    """The range of the first operand of a comparison, given how the comparison came out."""
    (low, high), other = own, test.operands[1] if len(test.operands) > 1 else 0
    least, most = _range(other, ranges)
    match test.operation, holds:
        case ("gt", True) | ("le", False):
            return max(low, least + 1), high
        case ("gt", False) | ("le", True):
            return low, min(high, most)
        case ("ge", True) | ("lt", False):
            return max(low, least), high
        case ("ge", False) | ("lt", True):
            return low, min(high, most - 1)
        case _:
            return own
