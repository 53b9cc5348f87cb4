"""Writes a step in whole numbers line by line, on one binary point."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from spikewright.errors import CompileError
from spikewright.targets.fpga.lif.settings import FixedPoint
from spikewright.targets.fpga.lif.signed_digits import fixed_coefficient
from spikewright.targets.fpga.lif.step import Line, Operand


class Vanishes(CompileError):
    """A number that is not 0 becomes 0 on a grid: no coarser grid will do either."""


@dataclass(frozen=True)
class Real:
    """A number known now, not yet on the grid."""

    value: float


@dataclass(frozen=True)
class Word:
    """A number known when it runs: q 2^-fraction; a truth value is 0 or 1 of fraction 0."""

    name: Operand
    fraction: int
    truth: bool = False


Value = Real | Word


@dataclass
class Writer:
    """The lines so far, and how numbers are put on the grid of ``fraction`` binary places."""

    layer: str
    fraction: int
    settings: FixedPoint
    lines: list[Line] = field(default_factory=list[Line])
    source: str = ""

    def line(self, operation: str, *operands: Operand) -> Operand:
        """Another line; what leaves a number as it is makes none."""
        if operation in ("shl", "shr", "add", "sub") and operands[1] == 0:
            return operands[0]
        target = f"n{len(self.lines)}"
        self.lines.append(Line(target, operation, operands, self.source))
        return target

    def word(self, operation: str, *operands: Operand, fraction: int) -> Word:
        """A line that makes a number."""
        return Word(self.line(operation, *operands), fraction)

    def truth(self, operation: str, *operands: Operand) -> Word:
        """A line that makes a truth value."""
        return Word(self.line(operation, *operands), 0, truth=True)

    def placed(self, value: Value, fraction: int) -> Operand:
        """A number with so many binary places, at least those that it has."""
        if isinstance(value, Real):
            return self._on_grid(value.value, fraction)
        if value.fraction > fraction:
            raise self.refused(f"counts and potentials apart, got {self.source!r}")
        name = self.line("number", value.name) if value.truth else value.name
        return self.line("shl", name, fraction - value.fraction)

    def aligned(self, *values: Value) -> tuple[list[Any], int]:
        """Numbers with the same binary places, and how many."""
        places = max(v.fraction for v in values if isinstance(v, Word))
        if places == 0 and not all(isinstance(v, Word) or v.value % 1 == 0 for v in values):
            places = self.fraction
        return [self.placed(value, places) for value in values], places

    def scaled(self, value: Word, by: float) -> Word:
        """A product with a constant, rounded half up to the places that the number has."""
        if value.fraction == 0 and self.fraction != 0:  # a count of something
            constant = self._on_grid(by, self.fraction)
            return self.word("mul", self.placed(value, 0), constant, fraction=self.fraction)
        where = f"the factor of {self.source!r} in layer {self.layer!r}"
        bits, digits = self.settings.coefficient, self.settings.digits
        whole, places = fixed_coefficient(by, bits, digits, where)
        name = value.name if whole == 1 else self.line("mul", value.name, whole)
        if places > 0:
            half = self.line("add", name, 2 ** (places - 1))
            return self.word("shr", half, places, fraction=value.fraction)
        return self.word("shl", name, -places, fraction=value.fraction)

    def taken_apart(self, name: Operand) -> tuple[Operand, Operand] | None:
        """The two numbers whose difference a name is, if it is one."""
        found = (line for line in self.lines if line.target == name)
        line = next(found, None)
        if line is None or line.operation != "sub":
            return None
        return line.operands[0], line.operands[1]

    def refused(self, what: str) -> CompileError:
        """The error that a step must keep to ``what``."""
        return CompileError(
            f"fpga.lif: the step of layer {self.layer!r} must keep {what}. Use neurons such as "
            "IF, LIF or CubaLIF with max_spikes=1, or run this layer in software."
        )

    def _on_grid(self, value: float, fraction: int) -> int:
        whole = int(value * 2.0**fraction // 1) + (value * 2.0**fraction % 1 >= 0.5)
        if value and not whole:
            raise Vanishes(
                f"fpga.lif: numbers of layer {self.layer!r} must not vanish with {fraction} binary "
                f"places, got {value:g}. Use a membrane of more bits, or smaller weights."
            )
        return whole
