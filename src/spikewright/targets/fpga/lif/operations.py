"""The operations on whole numbers that a neuron's step is lowered to: one table.

For each there is what it computes, the range of its results, and its SystemVerilog.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from spikewright.targets.fpga.lif.signed_digits import signed_digits

Range = tuple[int, int]
"""The least and the largest number, both included."""
SHIFT_ADDS = 3
"""Constants of up to so many signed digits are multiplied with by shifts and additions."""


@dataclass(frozen=True)
class Operation:
    """One row of the table.

    Args:
        compute: from arrays of int64 and Python integers to an array.
        bounds: from the ranges of the operands to that of the result.
        verilog: from the operands as text, sign extended to the width of the result, to an
            expression. Two's complement keeps sums and products right at that width.
        boolean: whether the result is 0 or 1, a single bit without a sign.
    """

    compute: Callable[..., Any]
    bounds: Callable[..., Range]
    verilog: Callable[..., str]
    boolean: bool = False


def width(bounds: Range) -> int:
    """Bits of a two's complement number.

    >>> width((0, 0)), width((-8, 7)), width((0, 8))
    (1, 4, 5)
    """
    low, high = bounds
    return 1 + max(low.bit_length() if low >= 0 else (~low).bit_length(), max(high, 0).bit_length())


def _corners(function: Callable[[int, int], int]) -> Callable[[Range, Range], Range]:
    """The range of a function that is monotone in each operand: that of its corners."""

    def bounds(a: Range, b: Range) -> Range:
        found = [function(x, y) for x, y in product(a, b)]
        return min(found), max(found)

    return bounds


def _arithmetic(function: Callable[[Any, Any], Any], verilog: Callable[[str, str], str]):
    return Operation(function, _corners(function), verilog)


def _extreme(
    compute: Callable[[Any, Any], Any], bounds: Callable[[int, int], int], sign: str
) -> Operation:
    return Operation(compute, _corners(bounds), lambda a, b: f"({a} {sign} {b}) ? {a} : {b}")


def _comparison(function: Callable[[Any, Any], Any], sign: str) -> Operation:
    def compute(a: Any, b: Any) -> Any:
        return np.asarray(function(a, b)).astype(np.int64)

    def bounds(a: Range, b: Range) -> Range:
        apart = a[1] < b[0] or b[1] < a[0] or a == b == (a[0], a[0])
        if not apart:
            return 0, 1
        always = int(function(a[0], b[0]))
        return always, always

    return Operation(compute, bounds, lambda a, b: f"{a} {sign} {b}", boolean=True)


def _logic(function: Callable[[Any, Any], Any], sign: str) -> Operation:
    return Operation(function, lambda a, b: (0, 1), lambda a, b: f"{a} {sign} {b}", boolean=True)


def _times(a: str, constant: str) -> str:
    """A product with a constant; with few signed digits as shifts, which cost no multiplier."""
    size, sign, number = constant.partition("'sd")
    negative, bits = size.startswith("-"), size.lstrip("-")
    digits = signed_digits(-int(number) if negative else int(number))
    if len(digits) > SHIFT_ADDS or any(power >= int(bits) for _, power in digits):
        return f"{a} * {size}{sign}{number}"
    digits.sort(key=lambda digit: digit[0] < 0)  # a sum that starts with a minus reads badly
    terms = [
        f"{'-' if each < 0 else '+'} {f'({a} <<< {power})' if power else a}"
        for each, power in digits
    ]
    return " ".join(terms).removeprefix("+ ")


OPERATIONS: dict[str, Operation] = {
    "add": _arithmetic(lambda a, b: a + b, lambda a, b: f"{a} + {b}"),
    "sub": _arithmetic(lambda a, b: a - b, lambda a, b: f"{a} - {b}"),
    "mul": _arithmetic(lambda a, b: a * b, _times),
    "shl": _arithmetic(lambda a, b: a << b, lambda a, b: f"{a} <<< {b}"),
    "shr": _arithmetic(lambda a, b: a >> b, lambda a, b: f"{a} >>> {b}"),
    "max": _extreme(np.maximum, max, ">"),
    "min": _extreme(np.minimum, min, "<"),
    "gt": _comparison(lambda a, b: a > b, ">"),
    "ge": _comparison(lambda a, b: a >= b, ">="),
    "lt": _comparison(lambda a, b: a < b, "<"),
    "le": _comparison(lambda a, b: a <= b, "<="),
    "eq": _comparison(lambda a, b: a == b, "=="),
    "ne": _comparison(lambda a, b: a != b, "!="),
    "and": _logic(lambda a, b: a & b, "&"),
    "or": _logic(lambda a, b: a | b, "|"),
    "xor": _logic(lambda a, b: a ^ b, "^"),
    "not": Operation(lambda a: 1 - a, lambda a: (0, 1), lambda a: f"~{a}", boolean=True),
    "number": Operation(lambda a: a, lambda a: a, lambda a: a),
    "select": Operation(
        lambda c, a, b: np.where(c != 0, a, b),
        lambda c, a, b: (min(a[0], b[0]), max(a[1], b[1])),
        lambda c, a, b: f"{c} ? {a} : {b}",
    ),
}
