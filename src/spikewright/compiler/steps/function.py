"""Instructions as a step function, for the engine to trace and to compile like any other."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from spikewright.compiler.step import NONE, Number, StepProgram, is_name, number_of
from spikewright.compiler.steps.operations import as_type, compute


@dataclass(frozen=True, eq=False)
class StepFunction:
    """A step: ``(x, state, coefficients) -> (y, state)``, with flat tuples of tensors.

    Args:
        numbers: what the operands that are no names stand for.
        record: names whose values are handed out beside y: what a state field becomes, or the
            result of an instruction.
    """

    program: StepProgram
    numbers: dict[str, Number | None]
    record: tuple[str, ...] = ()

    def __call__(self, x: Any, state: Any, coefficients: Any) -> tuple[Any, Any]:
        program = self.program
        cells = _cells(x, program)
        like = cells[0]
        dtype = state[0].dtype if state else like.dtype
        given = zip(program.arguments, (*cells, *state, *coefficients), strict=True)
        values: dict[str, Any] = {**self.numbers, **dict(given)}
        for instruction in program.instructions:
            operands = [values[text] for text in instruction.operands]
            values[instruction.target] = compute(instruction, operands, like.device)

        def spread(text: str) -> Tensor:
            value = as_type(values[text], dtype, like.device)
            return value if value.shape == like.shape else value.expand(like.shape)

        y, *after = (spread(text) for text in program.outputs)
        if not self.record:
            return y, tuple(after)
        made = dict(zip(program.state, program.outputs[1:], strict=True))
        traces = (spread(made.get(name, name)) for name in self.record)
        return (y, *traces), tuple(after)


def _cells(x: Any, program: StepProgram) -> list[Tensor]:
    """One tensor for each input of the step."""
    x, *noise = x if isinstance(x, tuple) else (x,)
    if "[" not in program.inputs[0]:
        return [x, *noise]
    return [*(x[..., k] for k in range(len(program.inputs) - len(noise))), *noise]


@functools.lru_cache(maxsize=512)
def step_function(program: StepProgram, record: tuple[str, ...] = ()) -> StepFunction:
    """One function object for each program, so that the engine finds its kernel again."""
    used = {text for it in program.instructions for text in it.operands} | {*program.outputs}
    numbers = {t: None if t == NONE else number_of(t) for t in used if not is_name(t)}
    return StepFunction(program, numbers, record)
