"""Pointwise ATen operations written in a language, from a table of what that language calls them.

What the text means is the same in each: what PyTorch computes, bit for bit for arithmetic,
comparisons, selection and rounding; NaN is propagated as PyTorch propagates it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from spikewright.engine.tracing.symbolic import Term

_COMPARE = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}
_LOGIC = {
    "logical_and": "&",
    "logical_or": "|",
    "logical_xor": "!=",
    "bitwise_and": "&",
    "bitwise_or": "|",
    "bitwise_xor": "!=",
}
_OF_BOOLEANS = {"add": "|", "mul": "&", "maximum": "|", "minimum": "&"}
_KEYWORDS = {
    "alpha", "rounding_mode", "min", "max",
    "dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Language:
    """What a language calls each operation.

    In the templates ``{0}`` and ``{1}`` are operands, converted to the type of the result (of
    the operand, where that is a boolean), and ``{words}`` are those of ``types`` for that type.

    Args:
        types: the words for each dtype it knows; ``t`` among them is the dtype's own name.
        unary, binary: ATen's name -> template.
        convert: template of a conversion of ``{0}`` to ``{t}``.
        select: template of "``{1}`` where ``{0}``, else ``{2}``".
        constant: writes a number, given as text, of a dtype.
        nan, infinity: how they are written as numbers.
        whole: templates for integers where those of ``binary`` do not serve; of a division that
            rounds they are called ``div_floor`` and ``div_trunc``.
    """

    types: Mapping[torch.dtype, Mapping[str, str]]
    unary: Mapping[str, str]
    binary: Mapping[str, str]
    convert: str
    select: str
    constant: Callable[[str, torch.dtype], str]
    nan: str
    infinity: str
    whole: Mapping[str, str] = field(default_factory=dict[str, str])

    def literal(self, value: float | int | bool, dtype: torch.dtype) -> str:
        """A constant of ``dtype``, rounded to it as PyTorch rounds it."""
        if dtype is torch.bool:
            text = str(bool(value))
        elif not dtype.is_floating_point:
            text = str(int(value))
        elif math.isnan(value):
            text = self.nan
        elif math.isinf(value):
            text = f"{'-' if value < 0 else ''}{self.infinity}"
        else:
            text = repr(float(value))
        return self.constant(text, dtype)

    def as_type(self, term: Term, dtype: torch.dtype) -> str:
        """``term`` converted to ``dtype``."""
        if term.constant and term.value is not None:
            return self.literal(term.value, dtype)
        if term.dtype == dtype:
            return term.text
        if dtype is torch.bool:
            return f"({term.text} != 0)"
        return self.convert.format(term.text, **self.types[dtype])

    def operation(
        self, name: str, terms: list[Term], dtype: torch.dtype, kwargs: dict[str, Any]
    ) -> str | None:
        """The expression for one operation, or ``None`` if it is not known."""
        if any(kind not in self.types for kind in (dtype, *(term.dtype for term in terms))):
            return None
        if any(value is not None and key not in _KEYWORDS for key, value in kwargs.items()):
            return None
        special = _SPECIAL.get(name)
        if special is not None:
            return special(self, terms, dtype, kwargs)
        if name in self.binary and len(terms) == 2:
            return self._binary(name, terms, dtype, kwargs)
        if name in _COMPARE or (name in _LOGIC and dtype is torch.bool):
            return self._comparison(name, terms)
        if name in self.unary:
            kind = terms[0].dtype if dtype is torch.bool else dtype
            kind = torch.bool if name in ("logical_not", "bitwise_not") else kind
            return self._fill(self.unary[name], kind, self.as_type(terms[0], kind))
        return None

    def _fill(self, template: str, dtype: torch.dtype, *operands: str) -> str | None:
        """``None`` where the language lacks a word that the template needs for this dtype."""
        try:
            return template.format(*operands, **self.types[dtype])
        except KeyError:
            return None

    def _comparison(self, name: str, terms: list[Term]) -> str:
        common = terms[0].dtype
        for term in terms[1:]:
            common = torch.promote_types(common, term.dtype)
        kind = torch.bool if name.startswith("logical") else common
        left, right = (self.as_type(term, kind) for term in terms)
        return f"({left}) {_COMPARE.get(name) or _LOGIC[name]} ({right})"

    def _binary(
        self, name: str, terms: list[Term], dtype: torch.dtype, kwargs: dict[str, Any]
    ) -> str | None:
        left, right = (self.as_type(term, dtype) for term in terms)
        if dtype is torch.bool:  # PyTorch's sum and product of booleans are `or` and `and`
            sign = _OF_BOOLEANS.get(name)
            return None if sign is None else f"({left}) {sign} ({right})"
        alpha = kwargs.get("alpha", 1)
        if alpha != 1:
            right = f"{self.literal(alpha, dtype)} * {right}"
        if name == "pow" and terms[1].constant and terms[1].value in (2, 3):
            return " * ".join([left] * int(terms[1].value or 0))
        rounding = kwargs.get("rounding_mode")
        whole = self.whole.get(f"{name}_{rounding}" if rounding else name)
        if whole is not None and not dtype.is_floating_point:
            return self._fill(whole, dtype, left, right)
        text = self._fill(self.binary[name], dtype, left, right)
        if rounding is None or text is None:
            return text
        return self._fill(self.unary[rounding], dtype, f"({text})")


def _where(
    language: Language, terms: list[Term], dtype: torch.dtype, kwargs: dict[str, Any]
) -> str:
    kinds = (torch.bool, dtype, dtype)
    return language.select.format(*map(language.as_type, terms, kinds))


def _clamp(
    language: Language, terms: list[Term], dtype: torch.dtype, kwargs: dict[str, Any]
) -> str:
    x = language.as_type(terms[0], dtype)
    low = terms[1] if len(terms) > 1 else kwargs.get("min")
    high = terms[2] if len(terms) > 2 else kwargs.get("max")
    for bound, sign in ((low, "<"), (high, ">")):
        if bound is None or (isinstance(bound, Term) and bound.text == "None"):
            continue
        edge = bound if isinstance(bound, Term) else Term("", dtype, bound)
        limit = language.as_type(edge, dtype)
        x = language.select.format(f"{x} {sign} {limit}", limit, x)
    return x


def _clamp_max(
    language: Language, terms: list[Term], dtype: torch.dtype, kwargs: dict[str, Any]
) -> str:
    return _clamp(language, [terms[0], Term("None", dtype), terms[1]], dtype, kwargs)


def _convert(
    language: Language, terms: list[Term], dtype: torch.dtype, kwargs: dict[str, Any]
) -> str:
    return language.as_type(terms[-1], dtype)


_SPECIAL: dict[str, Callable[[Language, list[Term], torch.dtype, dict[str, Any]], str]] = {
    "where": _where,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp_max,
    "hardtanh": _clamp,
    "_to_copy": _convert,
    "to": _convert,
    "copy": _convert,
}
