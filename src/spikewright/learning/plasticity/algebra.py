"""Expressions as sums of products: constants folded, events split from what they multiply."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np

from spikewright.engine.plastic.description import Expression, Number, Operation, Symbol
from spikewright.learning.plasticity.evaluate import evaluate

Product = tuple[float, tuple[Expression, ...]]
"""A coefficient, and the factors that are no numbers."""

MOST_PRODUCTS = 256
HIGHEST_POWER = 8
_SPLIT = frozenset({"x0", "y0", "r"})
"""Symbols that decide when a term acts: sums that hold them are multiplied out."""


class NotFinite(Exception):
    """Numbers whose result is no finite real number; the message says what it is."""


class TooLarge(Exception):
    """Multiplying out gives more products than anybody would write."""


def operation(name: str, *arguments: Expression) -> Expression:
    """An operation, worked out where its arguments are numbers or leave only one result.

    Raises:
        NotFinite: the result of numbers is no finite real number.

    >>> operation("**", Number(2.0), Number(-2.0))
    Number(value=0.25)
    >>> operation("*", Number(1.0), Symbol("w"))
    Symbol(name='w')
    """
    if name == "/" and arguments[1] == Number(0.0):
        raise NotFinite("a division by zero")
    if all(isinstance(a, Number) for a in arguments):
        with np.errstate(all="ignore"):
            value = float(evaluate(Operation(name, arguments), {}))
        if not math.isfinite(value):
            raise NotFinite(f"{value}")
        return Number(value)
    return _neutral(name, arguments) or Operation(name, arguments)


def _neutral(name: str, arguments: tuple[Expression, ...]) -> Expression | None:
    """The one argument that is left, or 0 or 1, where a number makes the operation needless."""
    if len(arguments) == 1:
        return None
    left, right = arguments
    one, zero = Number(1.0), Number(0.0)
    if name == "*" and left == Number(-1.0):
        return Operation("-", (right,))
    if name in ("+", "-") and isinstance(right, Number) and right.value < 0:
        return Operation("-" if name == "+" else "+", (left, Number(-right.value)))
    if (name == "*" and zero in arguments) or (name == "/" and left == zero):
        return zero
    if name == "**" and right == zero:
        return one
    if (name == "+" and right == zero) or (name == "-" and right == zero):
        return left
    if (name == "*" and right == one) or (name in ("/", "**") and right == one):
        return left
    if (name == "+" and left == zero) or (name == "*" and left == one):
        return right
    return None


def symbols(expression: Expression) -> Iterator[str]:
    """The names in an expression, each as often as it stands there."""
    if isinstance(expression, Symbol):
        yield expression.name
    elif isinstance(expression, Operation):
        for argument in expression.arguments:
            yield from symbols(argument)


def products(expression: Expression) -> list[Product]:
    """The terms of an expression whose sum it is; like terms are joined, those of 0 left out.

    Only sums that hold x0, y0 or r are multiplied out.

    Raises:
        TooLarge: there are more than `MOST_PRODUCTS`.
        NotFinite: a coefficient is not finite.

    >>> x0, w = Symbol("x0"), Symbol("w")
    >>> inner = Operation("-", (x0, Number(2.0)))
    >>> products(Operation("*", (inner, w)))
    [(1.0, (Symbol(name='x0'), Symbol(name='w'))), (-2.0, (Symbol(name='w'),))]
    """
    sums: dict[tuple[Expression, ...], float] = {}
    for coefficient, factors in _terms(expression):
        sums[factors] = sums.get(factors, 0.0) + coefficient
    if not all(math.isfinite(c) for c in sums.values()):
        raise NotFinite("a product of its numbers is not finite")
    return [(c, factors) for factors, c in sums.items() if c != 0.0]


def joined(terms: Iterable[Product]) -> Expression | None:
    """The sum of the products as one expression; ``None`` where there is none."""
    total: Expression | None = None
    for coefficient, factors in terms:
        if total is None:
            total = _multiplied(coefficient, factors)
        elif coefficient < 0:
            total = Operation("-", (total, _multiplied(-coefficient, factors)))
        else:
            total = Operation("+", (total, _multiplied(coefficient, factors)))
    return total


def _multiplied(coefficient: float, factors: tuple[Expression, ...]) -> Expression:
    if not factors:
        return Number(coefficient)
    first = operation("-", factors[0]) if coefficient == -1 else factors[0]
    total = first if abs(coefficient) == 1 else Operation("*", (Number(coefficient), first))
    for factor in factors[1:]:
        total = Operation("*", (total, factor))
    return total


def _terms(expression: Expression) -> list[Product]:
    if isinstance(expression, Number):
        return [(expression.value, ())]
    if isinstance(expression, Operation):
        name, arguments = expression.name, expression.arguments
        if name in ("+", "-"):
            signs = [1.0] * len(arguments) if name == "+" else [1.0, -1.0][-len(arguments) :]
            pairs = zip(signs, arguments, strict=True)
            return [(s * c, f) for s, a in pairs for c, f in _terms(a)]
        if name == "*":
            return _crossed([_factors(a) for a in arguments])
        if name == "/" and _splits(arguments[0]):
            inverse = operation("/", Number(1.0), arguments[1])
            return _crossed([_factors(arguments[0]), _factors(inverse)])
        power = arguments[1] if name == "**" and _splits(arguments[0]) else None
        if isinstance(power, Number) and power.value in range(2, HIGHEST_POWER + 1):
            return _crossed([_factors(arguments[0])] * int(power.value))
    return [(1.0, (expression,))]


def _factors(expression: Expression) -> list[Product]:
    """The terms of a factor: itself, unless it is a product or a sum that has to be split."""
    is_sum = isinstance(expression, Operation) and expression.name in ("+", "-")
    return [(1.0, (expression,))] if is_sum and not _splits(expression) else _terms(expression)


def _crossed(operands: list[list[Product]]) -> list[Product]:
    """Every product of one term of each operand."""
    if math.prod(len(terms) for terms in operands) > MOST_PRODUCTS:
        raise TooLarge
    return [
        (math.prod(c for c, _ in chosen), tuple(f for _, factors in chosen for f in factors))
        for chosen in product(*operands)
    ]


def _splits(expression: Expression) -> bool:
    return not _SPLIT.isdisjoint(symbols(expression))
