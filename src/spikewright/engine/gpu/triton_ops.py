"""How each pointwise ATen operation is written in Triton.

Every value is a block of ``LANES`` numbers, constants too: one kind of value is all that a loop has
to carry. Triton's own ``/`` and ``sqrt`` are approximate for float32, so the exact ones are named;
a minus sign is a product, since Triton takes ``-x`` for ``0 - x``, which loses the sign of zero.
"""

from __future__ import annotations

import torch

from spikewright.engine.tracing.operations import Language

HEADER = """import triton
import triton.language as tl
"""
DEVICE_MATH = """from triton.language import cumsum, sum as total
from triton.language.extra import libdevice
"""
INTERPRETED_MATH = """from spikewright.engine.gpu import interpreted as libdevice
from spikewright.engine.gpu.interpreted import cumsum, total
"""

_BINARY = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{divide}({0}, {1})",
    "maximum": "tl.where(({0} > {1}) | ({0} != {0}), {0}, {1})",
    "minimum": "tl.where(({0} < {1}) | ({0} != {0}), {0}, {1})",
    "fmod": "libdevice.fmod({0}, {1})",
    "remainder": "tl.where("
    "(libdevice.fmod({0}, {1}) != 0) & ((libdevice.fmod({0}, {1}) < 0) != ({1} < 0)), "
    "libdevice.fmod({0}, {1}) + {1}, libdevice.fmod({0}, {1}))",
    "atan2": "libdevice.atan2({0}, {1})",
    "pow": "libdevice.pow({0}, {1})",
}
_REMAINDER = "(({0} % {1}) + {1}) % {1}"  # Triton's own has the sign of {0}, PyTorch's that of {1}
_WHOLE = {
    "fmod": "{0} % {1}",
    "remainder": _REMAINDER,
    "div_trunc": "{0} // {1}",
    "div_floor": f"({{0}} - {_REMAINDER}) // {{1}}",
}
_LIBRARY = (
    "exp", "exp2", "expm1", "log", "log1p", "log2", "sin", "cos", "tan", "tanh", "sinh", "cosh",
    "asin", "acos", "atan", "erf", "trunc",
)  # fmt: skip
_UNARY = {name: f"libdevice.{name}({{0}})" for name in _LIBRARY} | {
    "neg": "{0} * -1",
    "abs": "tl.abs({0})",
    "sign": "(({0} > 0).to({t}) - ({0} < 0).to({t}))",
    "sgn": "(({0} > 0).to({t}) - ({0} < 0).to({t}))",
    "relu": "tl.where({0} <= 0, {zero}, {0})",
    "reciprocal": "{divide}({one}, {0})",
    "sqrt": "{root}({0})",
    "rsqrt": "{divide}({one}, {root}({0}))",
    "sigmoid": "{divide}({one}, 1 + libdevice.exp({0} * -1))",
    "floor": "tl.floor({0})",
    "ceil": "tl.ceil({0})",
    "round": "libdevice.rint({0})",
    "isnan": "{0} != {0}",
    "isinf": "tl.abs({0}) == float('inf')",
    "logical_not": "{0} == 0",
    "bitwise_not": "{0} == 0",
}


def _full(text: str, name: str) -> str:
    return f"tl.full([LANES], {text}, {name})"


_NAMES = {
    torch.float32: "tl.float32",
    torch.float64: "tl.float64",
    torch.int64: "tl.int64",
    torch.int32: "tl.int32",
    torch.bool: "tl.int1",
}
_EXACT = {
    torch.float32: {"divide": "tl.div_rn", "root": "tl.sqrt_rn"},
    torch.float64: {"divide": "tl.fdiv", "root": "tl.sqrt"},
}


def _constant(text: str, dtype: torch.dtype) -> str:
    return _full(text, _NAMES[dtype])


TRITON = Language(
    types={
        dtype: {"t": name, "zero": _full("0", name), "one": _full("1", name)}
        | _EXACT.get(dtype, {})
        for dtype, name in _NAMES.items()
    },
    unary=_UNARY,
    binary=_BINARY,
    convert="{0}.to({t})",
    select="tl.where({0}, {1}, {2})",
    constant=_constant,
    nan="float('nan')",
    infinity="float('inf')",
    whole=_WHOLE,
)
as_type, print_operation = TRITON.as_type, TRITON.operation
