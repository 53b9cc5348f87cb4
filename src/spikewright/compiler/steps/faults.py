"""What is wrong with a step's instructions."""

from __future__ import annotations

from collections.abc import Iterator

from spikewright.compiler.step import NONE, Instruction, StepProgram, is_name, number_of
from spikewright.compiler.steps.operations import ARITY, DTYPES, OPTIONS


def step_faults(step: StepProgram, noise: bool) -> Iterator[str]:
    """Rules that a step breaks, with what it has instead.

    >>> line = Instruction("t0", "system", ("x",), "float32")
    >>> list(step_faults(StepProgram(("x",), (), (), (line,), ("t0",)), noise=False))
    ["operation of 't0' must be a known one, got 'system'"]
    """
    known: set[str] = set()
    for name in step.arguments:
        if not is_name(name) or name in known:
            yield f"names of a step must be words used once, got {name!r}"
        known.add(name)
    cells = len(step.inputs) - noise
    plain = ("x",) if cells == 1 and "x" in step.inputs else ()
    names = plain or tuple(f"x[{k}]" for k in range(cells))
    if cells < 1 or step.inputs != (*names, *["xi"] * noise):
        yield f"inputs must be x or x[0], x[1], ..., and xi where there is noise, got {step.inputs}"
    for instruction in step.instructions:
        yield from _faults(instruction, known)
        known.add(instruction.target)
    if len(step.outputs) != 1 + len(step.state):
        yield f"outputs must be one and one for each state field, got {len(step.outputs)}"
    yield from (f"output must be known, got {o!r}" for o in step.outputs if not _is_known(o, known))


def _faults(it: Instruction, known: set[str]) -> Iterator[str]:
    if it.operation not in ARITY:
        yield f"operation of {it.target!r} must be a known one, got {it.operation!r}"
        return
    if it.dtype not in DTYPES:
        yield f"type of {it.target!r} must be one of {', '.join(DTYPES)}, got {it.dtype!r}"
    if not is_name(it.target) or it.target in known:
        yield f"result must have a name of its own, got {it.target!r}"
    if len(it.operands) != ARITY[it.operation]:
        yield f"{it.operation} must have {ARITY[it.operation]} operands, got {len(it.operands)}"
    bounds = it.operands[1:] if it.operation == "clamp" else ()
    for place, text in enumerate(it.operands):
        if not _is_known(text, known) and not (text == NONE and place and bounds):
            yield f"operand of {it.target!r} must be known before it, got {text!r}"
    for name, value in it.options:
        if not _is_option(it.operation, name, value):
            yield f"option of {it.target!r} must be one of {it.operation}, got {name}={value}"


def _is_option(operation: str, name: str, value: str) -> bool:
    if operation not in OPTIONS.get(name, ()):
        return False
    if name == "of":
        return value in DTYPES
    return value in ("floor", "trunc") if name == "rounding_mode" else _is_number(value)


def _is_known(text: str, known: set[str]) -> bool:
    return text in known if is_name(text) else _is_number(text)


def _is_number(text: str) -> bool:
    try:
        number_of(text)
    except ValueError:
        return False
    return True
