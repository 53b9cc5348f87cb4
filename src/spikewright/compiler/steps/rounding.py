"""Number formats inside a step: a state field is rounded when it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

import torch

from spikewright.compiler.formats import Fixed, Format, Real, Spikes
from spikewright.compiler.step import Instruction, StepProgram, number_text

SCALE = "scale."
"""Before a field's name: the coefficient that holds the scale of its format."""


def with_formats(
    step: StepProgram, formats: Mapping[str, Format], dtype: torch.dtype
) -> tuple[StepProgram, dict[str, str]]:
    """The step with its state rounded and kept in range, as instructions of its own.

    A readout that hands on a state field hands on what is kept.

    Args:
        formats: by the names of the state fields. The scale of a fixed-point field ``v`` becomes
            the coefficient ``scale.v``.
        dtype: of the step's numbers.

    Returns:
        The step, and for each field with a range the name that says (1 or 0) whether the number
        was outside.
    """
    flags: dict[str, str] = {}
    for place, name in enumerate(step.state, 1):
        form, before = formats.get(name), step.outputs[place]
        if form is None or form == Real(dtype):
            continue
        writer = _Writer(_fresh(step), _word(dtype))
        after, flag = writer.rounded(before, form, SCALE + name)
        if flag is not None:
            flags[name] = flag
        outputs = list(step.outputs)
        outputs[place] = after
        outputs[0] = after if outputs[0] == before else outputs[0]
        scale = (SCALE + name,) if isinstance(form, Fixed) else ()
        step = replace(
            step,
            coefficients=(*step.coefficients, *scale),
            instructions=(*step.instructions, *writer.made),
            outputs=tuple(outputs),
        )
    return step, flags


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _fresh(step: StepProgram) -> Iterator[str]:
    taken = {*step.arguments, *(it.target for it in step.instructions)}
    return (name for n in count(len(step.instructions)) if (name := f"t{n}") not in taken)


@dataclass
class _Writer:
    """Writes instructions behind one another."""

    names: Iterator[str]
    dtype: str
    made: list[Instruction] = field(default_factory=list[Instruction])

    def line(self, operation: str, *operands: str, dtype: str | None = None) -> str:
        target = next(self.names)
        self.made.append(Instruction(target, operation, operands, dtype or self.dtype))
        return target

    def rounded(self, value: str, form: Format, scale: str) -> tuple[str, str | None]:
        """The names of the rounded value and of whether it was out of range; see `quantised`."""
        if isinstance(form, Real):
            narrow = self.line("convert", value, dtype=_word(form.dtype))
            return self.line("convert", narrow), None
        if isinstance(form, Spikes):
            limits = ("0", number_text(form.maximum))
            whole = self.line("floor", value)
            kept = self.line("clamp", whole, *limits)
            return kept, self.line("ne", whole, kept, dtype="bool")
        q = self._whole(self.line("div", value, scale), form)
        inside = self.line("clamp", q, number_text(form.least), number_text(form.most))
        flag = self.line("ne", q, inside, dtype="bool")
        if form.overflow == "wrap":
            inside = self._wrapped(q, form)
        return self.line("mul", inside, scale), flag

    def _whole(self, q: str, form: Fixed) -> str:
        if form.rounding == "zero":
            return self.line("trunc", q)
        below = self.line("floor", q)
        if form.rounding == "floor":
            return below
        up = self.line("ge", self.line("sub", q, below), "0.5", dtype="bool")
        return self.line("add", below, up)

    def _wrapped(self, q: str, form: Fixed) -> str:
        least = number_text(form.least)
        turn = self.line("remainder", self.line("sub", q, least), str(form.most - form.least + 1))
        return self.line("add", turn, least)
