"""How each pointwise ATen operation is written in Numba.

The text computes what PyTorch computes on the CPU, bit for bit for arithmetic, comparisons,
selection and rounding; NaN is propagated as PyTorch propagates it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from spikewright.engine.symbolic import Term

TYPES = {
    torch.float32: "f32",
    torch.float64: "f64",
    torch.int64: "i64",
    torch.int32: "i32",
    torch.bool: "boolean",
}
HEADER = """import math
import numba
import numpy as np

from spikewright.engine.sources.marks import mark_row
from spikewright.engine.vectorise import NoAlias, select

f32, f64, i64, i32 = np.float32, np.float64, np.int64, np.int32
"""

_BINARY = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "maximum": "select(({0} > {1}) | ({0} != {0}), {0}, {1})",
    "minimum": "select(({0} < {1}) | ({0} != {0}), {0}, {1})",
    "fmod": "np.fmod({0}, {1})",
    "remainder": "np.remainder({0}, {1})",
    "atan2": "math.atan2({0}, {1})",
    "pow": "{0} ** {1}",
}
_UNARY = {
    "neg": "-{0}",
    "abs": "abs({0})",
    "sign": "({t}({0} > 0) - {t}({0} < 0))",
    "sgn": "({t}({0} > 0) - {t}({0} < 0))",
    "relu": "select({0} <= {t}(0), {t}(0), {0})",
    "reciprocal": "{t}(1) / {0}",
    "sqrt": "math.sqrt({0})",
    "rsqrt": "{t}(1) / math.sqrt({0})",
    "exp": "math.exp({0})",
    "exp2": "{t}(2) ** {0}",
    "expm1": "math.expm1({0})",
    "log": "math.log({0})",
    "log1p": "math.log1p({0})",
    "log2": "math.log2({0})",
    "sin": "math.sin({0})",
    "cos": "math.cos({0})",
    "tan": "math.tan({0})",
    "tanh": "math.tanh({0})",
    "sinh": "math.sinh({0})",
    "cosh": "math.cosh({0})",
    "asin": "math.asin({0})",
    "acos": "math.acos({0})",
    "atan": "math.atan({0})",
    "erf": "math.erf({0})",
    "sigmoid": "{t}(1) / ({t}(1) + math.exp(-{0}))",
    "floor": "np.floor({0})",
    "ceil": "np.ceil({0})",
    "trunc": "np.trunc({0})",
    "round": "np.rint({0})",
    "isnan": "{0} != {0}",
    "isinf": "abs({0}) == np.inf",
    "logical_not": "not {0}",
    "bitwise_not": "not {0}",
}
_COMPARE = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}
_LOGIC = {
    "logical_and": "&",
    "logical_or": "|",
    "logical_xor": "!=",
    "bitwise_and": "&",
    "bitwise_or": "|",
    "bitwise_xor": "!=",
}
_KEYWORDS = {
    "alpha", "rounding_mode", "min", "max",
    "dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking",
}  # fmt: skip
_ROUNDING = {None: "{0}", "floor": "np.floor({0})", "trunc": "np.trunc({0})"}


def literal(value: float | int | bool, dtype: torch.dtype) -> str:
    """A constant of ``dtype``, rounded to it as PyTorch rounds it."""
    if dtype is torch.bool:
        return str(bool(value))
    kind = TYPES[dtype]
    if not dtype.is_floating_point:
        return f"{kind}({int(value)})"
    if math.isnan(value):
        return f"{kind}(np.nan)"
    if math.isinf(value):
        return f"{kind}({'-' if value < 0 else ''}np.inf)"
    return f"{kind}({float(value)!r})"


def as_type(term: Term, dtype: torch.dtype) -> str:
    """``term`` converted to ``dtype``."""
    if term.constant and term.value is not None:
        return literal(term.value, dtype)
    if term.dtype == dtype:
        return term.text
    if dtype is torch.bool:
        return f"({term.text} != 0)"
    return f"{TYPES[dtype]}({term.text})"


def print_operation(
    name: str, terms: list[Term], dtype: torch.dtype, kwargs: dict[str, Any]
) -> str | None:
    """The expression for one operation, or ``None`` if it is not known."""
    if any(kind not in TYPES for kind in (dtype, *(term.dtype for term in terms))):
        return None
    if any(value is not None and key not in _KEYWORDS for key, value in kwargs.items()):
        return None
    special = _SPECIAL.get(name)
    if special is not None:
        return special(terms, dtype, kwargs)
    if name in _BINARY and len(terms) == 2:
        return _binary(name, terms, dtype, kwargs)
    if name in _COMPARE or (name in _LOGIC and dtype is torch.bool):
        common = terms[0].dtype
        for term in terms[1:]:
            common = torch.promote_types(common, term.dtype)
        kind = torch.bool if name.startswith("logical") else common
        sign = _COMPARE.get(name) or _LOGIC[name]
        return f"({as_type(terms[0], kind)}) {sign} ({as_type(terms[1], kind)})"
    if name in _UNARY:
        kind = terms[0].dtype if dtype is torch.bool else dtype
        kind = torch.bool if name in ("logical_not", "bitwise_not") else kind
        return _UNARY[name].format(as_type(terms[0], kind), t=TYPES[kind])
    return None


def _binary(name: str, terms: list[Term], dtype: torch.dtype, kwargs: dict[str, Any]) -> str | None:
    left, right = (as_type(term, dtype) for term in terms)
    if dtype is torch.bool:  # PyTorch's sum and product of booleans are `or` and `and`
        sign = {"add": "|", "mul": "&", "maximum": "|", "minimum": "&"}.get(name)
        return None if sign is None else f"({left}) {sign} ({right})"
    alpha = kwargs.get("alpha", 1)
    if alpha != 1:
        right = f"{literal(alpha, dtype)} * {right}"
    if name == "pow" and terms[1].constant and terms[1].value in (2, 3):
        return " * ".join([left] * int(terms[1].value or 0))
    text = _BINARY[name].format(left, right)
    return _ROUNDING[kwargs.get("rounding_mode")].format(text)


def _where(terms: list[Term], dtype: torch.dtype, kwargs: dict[str, Any]) -> str:
    condition = as_type(terms[0], torch.bool)
    return f"select({condition}, {as_type(terms[1], dtype)}, {as_type(terms[2], dtype)})"


def _clamp(terms: list[Term], dtype: torch.dtype, kwargs: dict[str, Any]) -> str:
    x = as_type(terms[0], dtype)
    low = terms[1] if len(terms) > 1 else kwargs.get("min")
    high = terms[2] if len(terms) > 2 else kwargs.get("max")
    for bound, sign in ((low, "<"), (high, ">")):
        if bound is None or (isinstance(bound, Term) and bound.text == "None"):
            continue
        edge = bound if isinstance(bound, Term) else Term("", dtype, bound)
        limit = as_type(edge, dtype)
        x = f"select({x} {sign} {limit}, {limit}, {x})"
    return x


def _clamp_max(terms: list[Term], dtype: torch.dtype, kwargs: dict[str, Any]) -> str:
    return _clamp([terms[0], Term("None", dtype), terms[1]], dtype, kwargs)


def _convert(terms: list[Term], dtype: torch.dtype, kwargs: dict[str, Any]) -> str:
    return as_type(terms[0], dtype)


_SPECIAL: dict[str, Callable[[list[Term], torch.dtype, dict[str, Any]], str]] = {
    "where": _where,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp_max,
    "hardtanh": _clamp,
    "_to_copy": _convert,
    "to": _convert,
    "copy": lambda terms, dtype, kwargs: as_type(terms[1], dtype),
}
