"""How each pointwise ATen operation is written in Numba."""

from __future__ import annotations

import torch

from spikewright.engine.tracing.operations import Language

_NAMES = {
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
from spikewright.engine.cpu.vectorise import NoAlias, select

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


def _constant(text: str, dtype: torch.dtype) -> str:
    return text if dtype is torch.bool else f"{_NAMES[dtype]}({text})"


NUMBA = Language(
    types={dtype: {"t": name} for dtype, name in _NAMES.items()},
    unary=_UNARY,
    binary=_BINARY,
    convert="{t}({0})",
    select="select({0}, {1}, {2})",
    constant=_constant,
    nan="np.nan",
    infinity="np.inf",
)
as_type, print_operation = NUMBA.as_type, NUMBA.operation
