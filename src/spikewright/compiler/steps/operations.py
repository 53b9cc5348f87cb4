"""The operations of a step: which there are, and what each computes.

They are those that the engine's languages print; the types to which operands are converted
before an operation are theirs too, so that a step made of instructions gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spikewright.compiler.step import Instruction, Number
from spikewright.engine.cpu.numba_ops import NUMBA

DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in NUMBA.types}
COMPARISONS = frozenset({"gt", "ge", "lt", "le", "eq", "ne"})
LOGIC = frozenset({
    "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor",
})  # fmt: skip
NEGATIONS = frozenset({"logical_not", "bitwise_not"})
ARITY: dict[str, int] = {
    **dict.fromkeys(NUMBA.unary, 1),
    **dict.fromkeys(NUMBA.binary, 2),
    **dict.fromkeys(COMPARISONS | LOGIC, 2),
    "where": 3,
    "clamp": 3,
    "convert": 1,
}
"""Every operation and its number of operands; bounds of a ``clamp`` may be ``none``."""
OPTIONS = {
    "alpha": frozenset({"add", "sub"}),
    "rounding_mode": frozenset({"div"}),
    "of": COMPARISONS | LOGIC,
}
"""The options, and of what; ``of`` is the type in which a comparison is made."""

Value = Tensor | Number | None


def operand_dtypes(instruction: Instruction, given: Sequence[torch.dtype | None]) -> list[Any]:
    """The types that the operands are converted to.

    Args:
        given: of the operands; ``None`` for numbers.
    """
    name, dtype = instruction.operation, DTYPES[instruction.dtype]
    first = next((kind for kind in given if kind is not None), dtype)
    if name == "where":
        return [torch.bool, dtype, dtype]
    if name in NEGATIONS or name.startswith("logical"):
        return [torch.bool] * len(given)
    if name in COMPARISONS | LOGIC:
        return [DTYPES.get(dict(instruction.options).get("of", ""), first)] * len(given)
    if dtype is torch.bool and len(given) == 1 and name != "convert":
        return [first]
    return [dtype] * len(given)


def compute(instruction: Instruction, operands: Sequence[Value], device: torch.device) -> Tensor:
    """The result of an instruction on tensors and numbers; ``None`` is a missing bound."""
    name, dtype = instruction.operation, DTYPES[instruction.dtype]
    kinds = operand_dtypes(
        instruction, [o.dtype if isinstance(o, Tensor) else None for o in operands]
    )
    values: list[Any] = [
        None if o is None else as_type(o, kind, device)
        for o, kind in zip(operands, kinds, strict=True)
    ]
    if name == "convert":
        return values[0]
    return getattr(torch, name)(*values, **_keywords(instruction)).to(dtype)


def _keywords(instruction: Instruction) -> dict[str, Any]:
    options = dict(instruction.options)
    options.pop("of", None)
    return {k: float(v) if k == "alpha" else v for k, v in options.items()}


def as_type(value: Tensor | Number, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor of ``dtype``; a number is rounded to it."""
    if isinstance(value, Tensor):
        if value.dtype == dtype:
            return value
        return value != 0 if dtype is torch.bool else value.to(dtype)
    kind = bool if dtype is torch.bool else float if dtype.is_floating_point else int
    return torch.full((), kind(value), dtype=dtype, device=device)
