"""A gain that only scales a step's input is put into the weights before it."""

from __future__ import annotations

from dataclasses import replace

from spikewright.compiler.step import StepProgram


def without_gain(step: StepProgram) -> tuple[StepProgram, str | None]:
    """The step for an input that is multiplied already, and the coefficient to multiply with.

    ``None`` where the input is used in another way than in one product with a coefficient.

    >>> from spikewright.compiler.step import Instruction
    >>> lines = Instruction("t0", "mul", ("r", "x"), "float32"), Instruction(
    ...     "t1", "add", ("v", "t0"), "float32")
    >>> step, gain = without_gain(StepProgram(("x",), ("v",), ("r",), lines, ("t1", "t1")))
    >>> print(gain, step, sep=": ")
    r: t1 = add v x : float32
    y <- t1
    v <- t1
    """
    using = [it for it in step.instructions if "x" in it.operands]
    if len(using) != 1 or using[0].operation != "mul" or "x" in step.outputs:
        return step, None
    (scaled,) = using
    gain = next((o for o in scaled.operands if o != "x"), "x")
    if gain not in step.coefficients:
        return step, None

    def renamed(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple("x" if name == scaled.target else name for name in names)

    rest = tuple(
        replace(it, operands=renamed(it.operands)) for it in step.instructions if it is not scaled
    )
    return replace(step, instructions=rest, outputs=renamed(step.outputs)), gain
