"""A neuron's step traced and written as instructions."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from spikewright.compiler.step import NONE, Instruction, StepProgram, is_name, number_text
from spikewright.compiler.steps.operations import OPTIONS
from spikewright.engine.cpu.numba_ops import print_operation
from spikewright.engine.layer import Shape
from spikewright.engine.program import Pointwise
from spikewright.engine.spike import DEFAULT_SURROGATE
from spikewright.engine.tracing.symbolic import Array, Interpreter, Term
from spikewright.engine.tracing.trace import Slots, Step, trace_step
from spikewright.errors import TraceError

_MADE = re.compile(r"t\d+")
_ANOTHER_NAME = {
    "_to_copy": "convert", "to": "convert", "copy": "convert",
    "clamp_min": "clamp", "clamp_max": "clamp", "hardtanh": "clamp",
}  # fmt: skip


def step_program(part: Pointwise, state: Sequence[str], coefficients: Sequence[str]) -> StepProgram:
    """The step of a layer of neurons as instructions.

    Args:
        state, coefficients: names of the fields, in the order of their leaves; see `paths`.

    Raises:
        TraceError: the step cannot be traced, or hands out more than one number a neuron.
    """
    return _made(part.step, part.slots(), tuple(state), tuple(coefficients))


@functools.lru_cache(maxsize=256)  # training with hardware in the loop asks at every batch
def _made(
    step: Step, slots: Slots, state: tuple[str, ...], coefficients: tuple[str, ...]
) -> StepProgram:
    graphs = trace_step(step, slots, DEFAULT_SURROGATE, None)
    if graphs.outputs != ((),):
        raise TraceError(
            "compiler.step: a step must give one number for each neuron, got outputs of shape "
            f"{graphs.outputs}. Return the spikes, or one readout."
        )
    inputs = ("x", "xi")[: len(slots.inputs)]
    names = distinct([*inputs, *state, *coefficients])
    shapes = (*slots.inputs, *slots.state, *slots.coefficients)
    fields = [elements(name, shape) for name, shape in zip(names, shapes, strict=True)]
    printer = _Printer()
    results = Interpreter(printer, "t").run(
        graphs.forward,
        graphs.constants,
        [_terms(own, shape, slots.dtype) for own, shape in zip(fields, shapes, strict=True)],
    )
    first, last = len(inputs), len(inputs) + len(slots.state)
    return StepProgram(
        tuple(chain(*fields[:first])),
        tuple(chain(*fields[first:last])),
        tuple(chain(*fields[last:])),
        tuple(printer.instructions),
        tuple(_operand(term) for result in results for term in result.flat),
    )


def elements(name: str, shape: Shape) -> list[str]:
    """A name for each number of a field.

    >>> elements("v", ()), elements("i", (2,))
    (['v'], ['i[0]', 'i[1]'])
    """
    if not shape:
        return [name]
    return [f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(*shape)]


def paths(tree: Any, unnamed: str) -> list[str]:
    """Names of the leaves of a tree: the names of tuples' fields and their places, with dots.

    Args:
        unnamed: the letter before a place that comes first, and the name of a lone leaf.

    >>> paths({"a": 1, "b": (2, 3)}, "c"), paths(1, "c")
    (['a', 'b.0', 'b.1'], ['c'])
    """
    found: list[str] = []
    for path, _ in pytree.tree_flatten_with_path(tree)[0]:
        words = [
            str(getattr(key, "name", getattr(key, "idx", getattr(key, "key", "")))) for key in path
        ]
        text = re.sub(r"[^\w.]", "_", ".".join(words))
        found.append(text if is_name(text) else f"{unnamed}{text}")
    return found


def distinct(names: Iterable[str]) -> list[str]:
    """The names, those changed that are taken, or kept for what the instructions make."""
    found: list[str] = []
    for name in names:
        own = name
        while own in found or _MADE.fullmatch(own) or not is_name(own):
            own = f"{own}_"
        found.append(own)
    return found


def _terms(names: list[str], shape: Shape, dtype: torch.dtype) -> Array:
    out = np.empty(shape, dtype=object)
    for index, name in zip(np.ndindex(*shape), names, strict=True):
        out[index] = Term(name, dtype)
    return out


@dataclass
class _Printer:
    """Writes each operation that the engine knows as an instruction."""

    instructions: list[Instruction] = field(default_factory=list[Instruction])

    def __call__(
        self, name: str, terms: list[Term], dtype: torch.dtype, kwargs: dict[str, Any]
    ) -> str | None:
        if print_operation(name, terms, dtype, kwargs) is None:
            return None
        target, word = f"t{len(self.instructions)}", _ANOTHER_NAME.get(name, name)
        operands = [_operand(term) for term in terms]
        if word == "convert":
            operands = operands[-1:]
        if word == "clamp":
            operands = _bounds(name, operands, kwargs)
        made = Instruction(
            target, word, tuple(operands), _word(dtype), _options(name, terms, kwargs)
        )
        self.instructions.append(made)
        return word


def _operand(term: Term) -> str:
    return term.text if term.value is None else number_text(term.value)


def _bounds(name: str, operands: list[str], kwargs: dict[str, Any]) -> list[str]:
    """x and both bounds of a clamp."""
    if name == "clamp_max":
        return [operands[0], NONE, operands[1]]
    given = [*operands, *[None] * 2][1:3]
    named = [kwargs.get("min"), kwargs.get("max")]
    bounds = [g if g is not None else n for g, n in zip(given, named, strict=True)]
    words = [b if isinstance(b, str) else NONE if b is None else number_text(b) for b in bounds]
    return [operands[0], *(NONE if word == "None" else word for word in words)]


def _options(name: str, terms: list[Term], kwargs: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    if kwargs.get("alpha", 1) != 1:
        found.append(("alpha", number_text(kwargs["alpha"])))
    if kwargs.get("rounding_mode") is not None:
        found.append(("rounding_mode", str(kwargs["rounding_mode"])))
    if name in OPTIONS["of"]:
        common = terms[0].dtype
        for term in terms[1:]:
            common = torch.promote_types(common, term.dtype)
        named = next((t.dtype for t in terms if not t.constant), common)
        found += [] if named == common else [("of", _word(common))]
    return tuple(found)


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
