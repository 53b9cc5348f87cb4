"""Expressions of a plasticity as lines of Numba."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from spikewright.engine.cpu.numba_ops import print_operation
from spikewright.engine.plastic.description import Expression, Number, Operation, Symbol
from spikewright.engine.tracing.symbolic import Term

_NAMES = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "**": "pow",
    "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq",
    "exp": "exp", "log": "log", "sqrt": "sqrt", "abs": "abs", "min": "minimum", "max": "maximum",
}  # fmt: skip
_WHOLE_POWERS = range(1, 9)


@dataclass
class Lines:
    """The lines of expressions, one operation each.

    Args:
        symbols: what the kernel calls each symbol.
        dtype: of all numbers.
        prefix: start of the names it makes.
    """

    symbols: Mapping[str, str]
    dtype: torch.dtype
    prefix: str
    lines: list[str] = field(default_factory=list[str])

    def print(self, term: Expression) -> str:
        """Add the lines of an expression; return the name of its value."""
        return self._term(term).text

    def _term(self, term: Expression) -> Term:
        match term:
            case Number():
                return Term("", self.dtype, term.value)
            case Symbol():
                return Term(self.symbols.get(term.name, term.name), self.dtype)
            case Operation("**", (base, Number(exponent))) if exponent in _WHOLE_POWERS:
                factor = self._term(base).text
                return self._line(" * ".join([factor] * int(exponent)), self.dtype)
            case Operation("-", (only,)):
                return self._operation("neg", [self._term(only)])
            case Operation():
                return self._operation(_NAMES[term.name], [self._term(a) for a in term.arguments])

    def _operation(self, name: str, terms: list[Term]) -> Term:
        compares = name in ("lt", "le", "gt", "ge", "eq")
        text = print_operation(name, terms, torch.bool if compares else self.dtype, {})
        assert text is not None
        if compares:
            one, zero = (Term("", self.dtype, value) for value in (1.0, 0.0))
            truth = self._line(text, torch.bool)
            text = print_operation("where", [truth, one, zero], self.dtype, {})
            assert text is not None
        return self._line(text, self.dtype)

    def _line(self, text: str, dtype: torch.dtype) -> Term:
        name = f"{self.prefix}_{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        return Term(name, dtype)
