"""Steps without a state that only scale and shift."""

from __future__ import annotations

from spikewright.compiler.discrete import Affine, Neurons


def affine_of(neurons: Neurons) -> Affine | None:
    """The scale and the shift that a step amounts to, or ``None`` if it does something else.

    >>> import torch
    >>> from spikewright.compiler.step import Instruction, StepProgram
    >>> line = Instruction("t0", "mul", ("x", "a"), "float32")
    >>> step = StepProgram(("x",), (), ("a",), (line,), ("t0",))
    >>> values = {"a": torch.tensor(2.0)}
    >>> affine_of(Neurons("Scale", {}, {}, step, values, {}, {}, spiking=False)).scale
    tensor(2.)
    """
    step, values = neurons.step, neurons.coefficients
    lines = [(it.operation, *it.operands) for it in step.instructions]
    if step.state or step.inputs != ("x",) or any(it.options for it in step.instructions):
        return None
    match lines:
        case [("mul", "x", a)] if a in values:
            scale, shift = values[a], None
        case [("add", "x", b)] if b in values:
            scale, shift = None, values[b]
        case [("mul", "x", a), ("add", "t0", b)] if a in values and b in values:
            scale, shift = values[a], values[b]
        case _:
            return None
    if step.outputs != (step.instructions[-1].target,):
        return None
    known = shift if scale is None else scale
    assert known is not None
    return Affine(
        known.new_ones(()) if scale is None else scale,
        known.new_zeros(()) if shift is None else shift,
    )
