"""Expressions as text that can be read back."""

from __future__ import annotations

from spikewright.engine.plastic.description import Expression, Number, Symbol

_ATOM = 6
_LEVELS = {"+": 1, "-": 1, "*": 2, "/": 2, "**": 4}
_COMPARISON, _NEGATIVE = 0, 3


def printed(expression: Expression) -> str:
    """The text of an expression, with no more parentheses than it needs.

    >>> printed(Number(0.25))
    '0.25'
    """
    return _text(expression)[0]


def _text(expression: Expression) -> tuple[str, int]:
    """Its text, and how tightly it holds together."""
    if isinstance(expression, Symbol):
        return expression.name, _ATOM
    if isinstance(expression, Number):
        text = repr(expression.value).removesuffix(".0")
        return text, _NEGATIVE if text.startswith("-") else _ATOM
    name, arguments = expression.name, expression.arguments
    if name[0].isalpha():
        return f"{name}({', '.join(printed(a) for a in arguments)})", _ATOM
    if len(arguments) == 1:
        return f"-{_within(arguments[0], _NEGATIVE)}", _NEGATIVE
    return _binary(name, *arguments)


def _binary(name: str, left: Expression, right: Expression) -> tuple[str, int]:
    level = _LEVELS.get(name, _COMPARISON)
    if name == "**":  # binds to the right, and weaker there than a sign
        return f"{_within(left, level + 1)}^{_within(right, _NEGATIVE)}", level
    # Comparisons do not chain.
    least = level + 1 if level == _COMPARISON else level
    return f"{_within(left, least)} {name} {_within(right, level + 1)}", level


def _within(expression: Expression, least: int) -> str:
    text, level = _text(expression)
    return text if level >= least else f"({text})"
