"""Steps as instructions: every operation, there and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from spikewright.compiler.software.reference import execute
from spikewright.compiler.step import NONE, Instruction, StepProgram, is_name, number_of
from spikewright.compiler.steps.faults import step_faults
from spikewright.compiler.steps.function import step_function
from spikewright.compiler.steps.make import paths, step_program
from spikewright.compiler.steps.operations import ARITY
from spikewright.engine.program import Pointwise

UNARY = [
    "neg", "abs", "sign", "sgn", "relu", "reciprocal", "sqrt", "rsqrt", "exp", "exp2", "expm1",
    "log", "log1p", "log2", "sin", "cos", "tan", "tanh", "sinh", "cosh", "asin", "acos", "atan",
    "erf", "sigmoid", "floor", "ceil", "trunc", "round", "isnan", "isinf", "logical_not",
]  # fmt: skip
BINARY = [
    "add", "sub", "mul", "div", "maximum", "minimum", "fmod", "remainder", "atan2", "pow",
    "gt", "ge", "lt", "le", "eq", "ne", "logical_and", "logical_or", "logical_xor",
]  # fmt: skip
SPECIAL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bitwise_and": lambda x, a: (x > a) & (x > 0.2),
    "bitwise_or": lambda x, a: (x > a) | (x < 0.2),
    "bitwise_xor": lambda x, a: (x > a) ^ (x < 0.2),
    "bitwise_not": lambda x, a: ~(x > a),
    "where": lambda x, a: torch.where(x > a, 1.5, a),
    "clamp": lambda x, a: x.clamp(0.25, 0.75) + x.clamp(max=0.5) - x.clamp_min(0.4),
    "convert": lambda x, a: (4 * x).to(torch.int64) * a + (x > 0.5),
    "div floor": lambda x, a: torch.div(x, a, rounding_mode="floor"),
    "div trunc": lambda x, a: torch.div(-x, a, rounding_mode="trunc"),
    "add alpha": lambda x, a: torch.add(x, a, alpha=0.3),
    "int compare": lambda x, a: (4 * x).to(torch.int64) > a,
    "powers": lambda x, a: x**2 + x**3 + 2.0**x,
    "lerp": lambda x, a: torch.lerp(x, a, 0.3) + torch.addcmul(x, a, x),
    "constant": lambda x, a: torch.zeros_like(x) + torch.tensor([0.1, 0.2]).sum(),
}
FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    **{name: lambda x, a, name=name: getattr(torch, name)(x) for name in UNARY},
    **{name: lambda x, a, name=name: getattr(torch, name)(x, a) for name in BINARY},
    **SPECIAL,
}
ROUNDED = {
    "exp", "exp2", "expm1", "log", "log1p", "log2", "sin", "cos", "tan", "tanh", "sinh", "cosh",
    "asin", "acos", "atan", "atan2", "erf", "sigmoid", "pow", "powers", "sqrt", "rsqrt", "lerp",
    "add alpha",
}  # fmt: skip
"""Whose last digit depends on the library that computes them."""


def every_operation(x: Tensor, state: tuple[Tensor, ...], a: Tensor) -> tuple[Tensor, Any]:
    """A step whose state fields are what each operation gives."""
    return x, tuple(f(x, a).to(x.dtype) for f in FUNCTIONS.values())


def part_of(step: Any, state: int, dtype: torch.dtype) -> Pointwise:
    example = tuple(torch.zeros(1, 5, dtype=dtype) for _ in range(state))
    return Pointwise(step, (5,), (), example, torch.tensor(0.6, dtype=dtype))


def test_every_operation_survives() -> None:
    part = part_of(every_operation, len(FUNCTIONS), torch.float32)
    names = [f"s{k}" for k in range(len(FUNCTIONS))]
    program = step_program(part, names, ["a"])
    assert list(step_faults(program, noise=False)) == []
    x = torch.rand(3, 5, generator=torch.Generator().manual_seed(1)) * 0.9 + 0.05
    x[0, 0] = part.coefficients
    got = step_function(program)(x, part.example, (part.coefficients,))[1]
    for (name, f), a in zip(FUNCTIONS.items(), got, strict=True):
        wanted = f(x, part.coefficients).to(x.dtype).expand_as(a)
        tolerance = 1e-6 if name in ROUNDED else 0.0
        torch.testing.assert_close(a, wanted, rtol=tolerance, atol=0.0, msg=name)


def test_tracing_instructions_again_gives_the_same_instructions() -> None:
    """Once conversions are written out, which the first trace of a step leaves to PyTorch."""
    part = part_of(every_operation, len(FUNCTIONS), torch.float32)
    names = [f"s{k}" for k in range(len(FUNCTIONS))]
    made = [step_program(part, names, ["a"])]
    flat = replace(part, coefficients=(part.coefficients,))
    for _ in range(2):
        made.append(step_program(replace(flat, step=step_function(made[-1])), names, ["a"]))
    _, second, third = made
    for one, other in zip(second.instructions, third.instructions, strict=True):
        assert replace(one, operands=()) == replace(other, operands=())
        assert [plain(o) for o in one.operands] == [plain(o) for o in other.operands]
    assert [plain(o) for o in second.outputs] == [plain(o) for o in third.outputs]


def plain(operand: str) -> str | float:
    """A name, or a number whatever its type."""
    return operand if is_name(operand) or operand == NONE else float(number_of(operand))


def test_the_table_of_operations_is_covered() -> None:
    part = part_of(every_operation, len(FUNCTIONS), torch.float32)
    program = step_program(part, [f"s{k}" for k in range(len(FUNCTIONS))], ["a"])
    used = {it.operation for it in program.instructions}
    never_traced = {"sgn", "exp2", "rsqrt"}  # decomposed into others, or the same as another
    assert ARITY.keys() - used <= never_traced


def test_instructions_mean_the_same_in_numpy() -> None:
    part = part_of(every_operation, len(FUNCTIONS), torch.float64)
    program = step_program(part, [f"s{k}" for k in range(len(FUNCTIONS))], ["a"])
    x = torch.rand(4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    values: dict[str, Any] = {"x": x.numpy(), "a": np.array(0.6)}
    for instruction in program.instructions:
        values[instruction.target] = execute(instruction, values)
    for (name, f), text in zip(FUNCTIONS.items(), program.outputs[1:], strict=True):
        wanted = f(x, part.coefficients).double().numpy()
        got = np.broadcast_to(np.asarray(values.get(text, wanted), dtype=float), x.shape)
        np.testing.assert_allclose(got, wanted, rtol=1e-12 if name in ROUNDED else 0, err_msg=name)


def test_a_step_is_printed_a_line_each() -> None:
    part = part_of(lambda x, state, a: (x, (a * state[0] + x,)), 1, torch.float32)
    program = step_program(part, ["v"], ["decay"])
    assert str(program) == ("t0 = mul decay v : float32\nt1 = add t0 x : float32\ny <- x\nv <- t1")


def test_names_come_from_the_trees_of_the_step() -> None:
    assert paths((1, {"a": 2, "b-c": 3}), "c") == ["c0", "c1.a", "c1.b_c"]


@pytest.mark.parametrize(
    ("instruction", "fault"),
    [
        (Instruction("t0", "system", ("x",), "float32"), "must be a known one, got 'system'"),
        (Instruction("t0", "neg", ("y",), "float32"), "must be known before it, got 'y'"),
        (Instruction("t0", "neg", ("x", "x"), "float32"), "must have 1 operands, got 2"),
        (Instruction("t0", "neg", ("x",), "object"), "must be one of float32"),
        (Instruction("x", "neg", ("x",), "float32"), "must have a name of its own, got 'x'"),
        (Instruction("t0", "neg", ("none",), "float32"), "must be known before it, got 'none'"),
        (
            Instruction("t0", "neg", ("x",), "float32", (("alpha", "2"),)),
            "must be one of neg, got alpha=2",
        ),
        (
            Instruction("t0", "div", ("x", "2"), "float32", (("rounding_mode", "up"),)),
            "must be one of div, got rounding_mode=up",
        ),
    ],
)
def test_faults_of_instructions_are_named(instruction: Instruction, fault: str) -> None:
    program = StepProgram(("x",), (), (), (instruction,), ("t0",))
    assert any(fault in found for found in step_faults(program, noise=False))
