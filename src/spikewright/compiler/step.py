"""A neuron's step as a list of instructions: data that can be printed, stored and compiled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Instruction:
    """``target = operation(operands)``; an operand is a name or a number as text.

    Args:
        operation: ATen's name of a pointwise operation: add, mul, where, gt, ...
        dtype: of the result, as torch names it: ``"float32"``, ``"bool"``.
        options: keywords such as ``rounding_mode``.
    """

    target: str
    operation: str
    operands: tuple[str, ...]
    dtype: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class StepProgram:
    """One time step of one neuron.

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
