"""The operations of a traced step, each with its form in whole numbers: one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spikewright.targets.fpga.lif.writer import Real, Value, Word, Writer

Lower = Callable[..., Value]
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
}


def _add(w: Writer, a: Value, b: Value, alpha: float = 1.0) -> Value:
    return _sum(w, "add", a, b, alpha)


def _sub(w: Writer, a: Value, b: Value, alpha: float = 1.0) -> Value:
    if a == Real(1.0) and isinstance(b, Word) and b.truth and alpha == 1:
        return w.truth("not", b.name)
    return _sum(w, "sub", a, b, alpha)


def _sum(w: Writer, operation: str, a: Value, b: Value, alpha: float) -> Value:
    if alpha != 1:
        b = _mul(w, b, Real(alpha))
    if isinstance(a, Real) and isinstance(b, Real):
        return Real(a.value + b.value if operation == "add" else a.value - b.value)
    if isinstance(b, Real) and b.value == 0:
        return a
    if isinstance(a, Real) and a.value == 0 and operation == "add":
        return b
    (first, second), places = w.aligned(a, b)
    if operation == "add" and isinstance(first, int):
        first, second = second, first
    return w.word(operation, first, second, fraction=places)


def _mul(w: Writer, a: Value, b: Value) -> Value:
    if isinstance(a, Real) and isinstance(b, Real):
        return Real(a.value * b.value)
    for gate, number in ((a, b), (b, a)):
        if isinstance(gate, Word) and gate.truth:
            return _where(w, gate, number, Real(0.0))
    if isinstance(a, Word) and isinstance(b, Word):
        raise w.refused(f"products with constants, got {w.source!r}")
    number, factor = (a, b) if isinstance(a, Word) else (b, a)
    assert isinstance(number, Word)
    assert isinstance(factor, Real)
    return Real(0.0) if factor.value == 0 else w.scaled(number, factor.value)


def _div(w: Writer, a: Value, b: Value) -> Value:
    if not isinstance(b, Real) or b.value == 0:
        raise w.refused(f"to division by constants, got {w.source!r}")
    return _mul(w, a, Real(1.0 / b.value))


def _neg(w: Writer, a: Value) -> Value:
    return Real(-a.value) if isinstance(a, Real) else _mul(w, a, Real(-1.0))


def _where(w: Writer, c: Value, a: Value, b: Value) -> Value:
    if a == b:
        return a
    if isinstance(c, Real):
        return a if c.value else b
    if _is_truth(a) and _is_truth(b) and not (isinstance(a, Real) and isinstance(b, Real)):
        yes = _and(w, c, a)
        return _or(w, yes, _and(w, _not(w, c), b))
    if isinstance(a, Real) and isinstance(b, Real):
        whole = a.value % 1 == b.value % 1 == 0 and w.fraction == 0
        places = 0 if whole else w.fraction
        one, other = w.placed(a, places), w.placed(b, places)
    else:
        (one, other), places = w.aligned(a, b)
    return w.word("select", c.name, one, other, fraction=places)


def _is_truth(value: Value) -> bool:
    return value.truth if isinstance(value, Word) else value.value in (0.0, 1.0)


def _not(w: Writer, a: Value) -> Value:
    return Real(float(not a.value)) if isinstance(a, Real) else w.truth("not", _truth(w, a).name)


def _and(w: Writer, a: Value, b: Value) -> Value:
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Real):
            return other if one.value else Real(0.0)
    return _logic("and")(w, a, b)


def _or(w: Writer, a: Value, b: Value) -> Value:
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Real):
            return Real(1.0) if one.value else other
    return _logic("or")(w, a, b)


def _truth(w: Writer, a: Value) -> Word:
    """Whether a number is not 0."""
    found = a if isinstance(a, Word) and a.truth else _comparison("ne")(w, a, Real(0.0))
    if isinstance(found, Real):
        raise w.refused(f"to logic of what changes, got {w.source!r}")
    return found


def _logic(operation: str) -> Lower:
    return lambda w, a, b: w.truth(operation, _truth(w, a).name, _truth(w, b).name)


def _comparison(operation: str) -> Lower:
    holds = _COMPARE[operation]

    def lower(w: Writer, a: Value, b: Value) -> Value:
        if isinstance(a, Real) and isinstance(b, Real):
            return Real(float(holds(a.value, b.value)))
        if isinstance(a, Word) and a.truth and isinstance(b, Real):
            off, on = holds(0.0, b.value), holds(1.0, b.value)
            return Real(float(on)) if on == off else a if on else _not(w, a)
        if isinstance(a, Word) and b == Real(0.0):
            difference = w.taken_apart(a.name)
            if difference is not None:  # v - threshold > 0 needs no subtractor
                return w.truth(operation, *difference)
        (first, second), _ = w.aligned(a, b)
        return w.truth(operation, first, second)

    return lower


def _extreme(operation: str) -> Lower:
    choose = max if operation == "max" else min

    def lower(w: Writer, a: Value, b: Value) -> Value:
        if isinstance(a, Real) and isinstance(b, Real):
            return Real(choose(a.value, b.value))
        (first, second), places = w.aligned(a, b)
        return w.word(operation, first, second, fraction=places)

    return lower


def _clamp(w: Writer, a: Value, low: Value | None, high: Value | None) -> Value:
    a = a if low is None else _extreme("max")(w, a, low)
    return a if high is None else _extreme("min")(w, a, high)


def _convert(w: Writer, a: Value, dtype: str = "float32") -> Value:
    if dtype == "bool":
        return _truth(w, a)
    if dtype.startswith("float") or _is_truth(a):
        return a
    raise w.refused(f"to numbers that are not cut to whole ones, got {w.source!r}")


TABLE: Mapping[str, Callable[..., Any]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "where": _where,
    "clamp": _clamp,
    "convert": _convert,
    "relu": lambda w, a: _extreme("max")(w, a, Real(0.0)),
    "maximum": _extreme("max"),
    "minimum": _extreme("min"),
    **{name: _comparison(name) for name in _COMPARE},
    **{f"{kind}_{name}": _logic(name)
       for kind in ("logical", "bitwise") for name in ("and", "or", "xor")},
    "logical_not": _not,
    "bitwise_not": _not,
}  # fmt: skip
"""By ATen's name: from the operands to a value, writing the lines that it takes."""
