"""One time step of one neuron in whole numbers, as lines: data that is run, bounded and printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikewright.targets.fpga.lif.operations import OPERATIONS, Range

Operand = str | int
SUM, BIAS = "sum", "bias"
"""What a step is given beside its state: the sum of weights, and the neuron's bias."""


@dataclass(frozen=True)
class Line:
    """``target = operation(operands)``; an operand is a name or a whole number.

    Args:
        operation: a name in ``OPERATIONS``.
        source: the traced instruction from which it was made, for the reader.
    """

    target: str
    operation: str
    operands: tuple[Operand, ...]
    source: str = ""


@dataclass(frozen=True)
class Field:
    """A state field: q 2^-fraction with q of ``bits`` bits, two's complement.

    Args:
        name: in the traced step; ``state`` before it is its name in the lines.
        initial: q at a fresh start.
    """

    name: str
    bits: int
    fraction: int
    initial: int

    @property
    def argument(self) -> str:
        """Its name in the lines."""
        return f"state.{self.name}"

    @property
    def range(self) -> Range:
        """The least and the largest q."""
        return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1


@dataclass(frozen=True)
class FixedStep:
    """A step.

    Args:
        lines: in the order of their work.
        output: what the neuron hands out: a spike (0 or 1), or the number of a readout.
        after: what each field becomes.
        saturates: whether a field was cut to its range, or 0 where that is impossible.
        ranges: of every name, whatever the input.
    """

    fields: tuple[Field, ...]
    lines: tuple[Line, ...]
    output: Operand
    after: tuple[Operand, ...]
    saturates: Operand
    ranges: Mapping[str, Range]

    def __call__(
        self, total: Any, bias: Any, state: Sequence[Any]
    ) -> tuple[Any, tuple[Any, ...], Any]:
        """Output, state after it and whether it saturated, of int64 arrays of one shape."""
        given = [f.argument for f in self.fields]
        values: dict[str, Any] = {SUM: total, BIAS: bias, **dict(zip(given, state, strict=True))}
        for line in self.lines:
            operands = [values[o] if isinstance(o, str) else o for o in line.operands]
            values[line.target] = OPERATIONS[line.operation].compute(*operands)

        def read(operand: Operand) -> Any:
            return values[operand] if isinstance(operand, str) else total * 0 + operand

        return read(self.output), tuple(map(read, self.after)), read(self.saturates)
