"""A neuron's step as a list of instructions: data that can be printed, stored and compiled."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

Number = float | int | bool
_NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)*(\[\d+(,\d+)*\])?")
_WORDS = {"true": True, "false": False, "inf": math.inf, "-inf": -math.inf, "nan": math.nan}
NONE = "none"
"""The operand that stands for a bound that is not there."""


@dataclass(frozen=True)
class Instruction:
    """``target = operation(operands)``; an operand is a name or a number as text.

    Args:
        operation: ATen's name of a pointwise operation: add, mul, where, gt, ...
        dtype: of the result, as torch names it: ``"float32"``, ``"bool"``.
        options: keywords such as ``rounding_mode``.

    >>> str(Instruction("t3", "mul", ("decay_syn", "i"), "float32"))
    't3 = mul decay_syn i : float32'
    """

    target: str
    operation: str
    operands: tuple[str, ...]
    dtype: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        options = [f"{key}={value}" for key, value in self.options]
        words = " ".join([self.operation, *self.operands, *options])
        return f"{self.target} = {words} : {self.dtype}"


@dataclass(frozen=True)
class StepProgram:
    """One time step of one neuron.

    A field with a trailing axis, such as the currents of several synapses, is one name for each
    of its numbers: ``i[0]``, ``i[1]``.

    Args:
        inputs: names of what arrives (``x``, or with noise ``x`` and ``xi``).
        state: names of the state fields.
        coefficients: names of the numbers that stay the same.
        outputs: for the output and then each state field the name or number it becomes.
    """

    inputs: tuple[str, ...]
    state: tuple[str, ...]
    coefficients: tuple[str, ...]
    instructions: tuple[Instruction, ...]
    outputs: tuple[str, ...]

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names that are there before the first instruction."""
        return (*self.inputs, *self.state, *self.coefficients)

    def __str__(self) -> str:
        given = zip(("y", *self.state), self.outputs, strict=True)
        return "\n".join([*map(str, self.instructions), *(f"{n} <- {o}" for n, o in given)])


def is_name(text: str) -> bool:
    """Whether an operand can be a name; the words for numbers are none.

    >>> is_name("linear.decay_mem"), is_name("i[0]"), is_name("inf"), is_name("0.5")
    (True, True, False, False)
    """
    return _NAME.fullmatch(text) is not None and text not in _WORDS and text != NONE


def number_text(value: Number) -> str:
    """A number as an operand.

    >>> number_text(0.5), number_text(True), number_text(float("inf"))
    ('0.5', 'true', 'inf')
    """
    return str(value).lower() if isinstance(value, bool) else repr(value)


def number_of(text: str) -> Number:
    """The number that an operand stands for.

    Raises:
        ValueError: it is none.

    >>> number_of("1"), number_of("-2.5e-3"), number_of("false")
    (1, -0.0025, False)
    """
    if text in _WORDS:
        return _WORDS[text]
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if re.fullmatch(r"-?\d+(\.\d*)?(e[-+]?\d+)?", text):
        return float(text)
    raise ValueError(f"{text!r} is neither a name nor a number")
