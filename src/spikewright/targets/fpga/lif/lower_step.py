"""From the traced step of a layer of neurons to its step in whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spikewright.compiler.discrete import REFRACTORY, Neurons
from spikewright.compiler.step import NONE, Instruction, StepProgram, is_name, number_of
from spikewright.errors import CompileError
from spikewright.targets.fpga.lif.operations import Range, width
from spikewright.targets.fpga.lif.ranges import fits, ranges_of, reached
from spikewright.targets.fpga.lif.settings import FixedPoint
from spikewright.targets.fpga.lif.step import BIAS, SUM, Field, FixedStep, Operand
from spikewright.targets.fpga.lif.table import TABLE
from spikewright.targets.fpga.lif.unused import without_unused
from spikewright.targets.fpga.lif.writer import Real, Value, Word, Writer

WIDEST = 62
"""Bits within which the twin's numbers are exact."""


@dataclass(frozen=True)
class Places:
    """Where the binary points are, and what comes in.

    Args:
        fraction: binary places of the state, the bias and all between.
        weights: those of the weights and their sum.
        sums, biases: ranges.
    """

    fraction: int
    weights: int
    sums: Range
    biases: Range


def lower_step(
    name: str,
    neurons: Neurons,
    step: StepProgram,
    constants: Mapping[str, float],
    places: Places,
    settings: FixedPoint,
) -> FixedStep:
    """The step in whole numbers.

    Args:
        name: of the layer.
        step: that of ``neurons``, or what was made of it.
        constants: the values of the coefficients.

    Raises:
        CompileError: an operation without a form in whole numbers, or numbers too wide or that
            vanish; names the layer.
    """
    writer = Writer(name, places.fraction, settings)
    fields = _fields(writer, neurons, settings)
    values = _given(writer, fields, constants, places)
    for it in step.instructions:
        writer.source = str(it).rpartition(" : ")[0]
        values[it.target] = _lowered(writer, it, values)
    made = [_value(text, values) for text in step.outputs]
    after = [_kept(writer, value, f) for value, f in zip(made[1:], fields, strict=True)]
    given = {SUM: places.sums, BIAS: places.biases}
    _, before = reached(writer.lines, fields, after, given)
    cut, saturates = _cut(writer, fields, after, before)
    ranges, _ = reached(writer.lines, fields, cut, given)
    output = _output(writer, neurons, step, made[0], cut)
    lines = without_unused(writer.lines, (output, *cut, saturates))
    found = ranges_of(lines, ranges)
    _check_widths(name, found)
    return FixedStep(tuple(fields), lines, output, tuple(cut), saturates, found)


def _fields(writer: Writer, neurons: Neurons, settings: FixedPoint) -> list[Field]:
    counts = neurons.options.get("refractory") and REFRACTORY in neurons.coefficients
    fields: list[Field] = []
    for name in neurons.step.state:
        value = float(neurons.initial[name].flatten()[0])
        if counts and name == neurons.step.state[-1]:
            most = int(neurons.coefficients[REFRACTORY].max())
            fields.append(Field(name, width((0, most)), 0, int(value)))
        else:
            initial = writer.placed(Real(value), writer.fraction)
            assert isinstance(initial, int)
            fields.append(Field(name, settings.membrane, writer.fraction, initial))
    return fields


def _given(
    writer: Writer, fields: list[Field], constants: Mapping[str, float], places: Places
) -> dict[str, Value]:
    writer.source = "x = sum of weights and bias"
    total = writer.line("shl", SUM, places.fraction - places.weights)
    x = writer.word("add", total, BIAS, fraction=places.fraction)
    states = {f.name: Word(f.argument, f.fraction) for f in fields}
    return {"x": x, **{name: Real(value) for name, value in constants.items()}, **states}


def _lowered(writer: Writer, it: Instruction, values: Mapping[str, Value]) -> Value:
    options = dict(it.options)
    if it.operation not in TABLE or "rounding_mode" in options:
        known = ", ".join(sorted(TABLE))
        raise writer.refused(f"to these operations: {known}; got {writer.source!r}")
    operands = [None if text == NONE else _value(text, values) for text in it.operands]
    if it.operation == "convert":
        return TABLE["convert"](writer, *operands, it.dtype)
    if "alpha" in options:
        return TABLE[it.operation](writer, *operands, float(options["alpha"]))
    return TABLE[it.operation](writer, *operands)


def _value(text: str, values: Mapping[str, Value]) -> Value:
    return values[text] if is_name(text) else Real(float(number_of(text)))


def _kept(writer: Writer, value: Value, field: Field) -> Operand:
    writer.source = f"{field.name} <-"
    return writer.placed(value, field.fraction)


def _cut(
    writer: Writer, fields: list[Field], after: list[Operand], before: Mapping[str, Range]
) -> tuple[list[Operand], Operand]:
    """What is kept, cut to its range where it might leave it, and whether anything was cut."""
    kept: list[Operand] = []
    flag: Operand = 0
    for field, made in zip(fields, after, strict=True):
        if fits(before[field.argument], field.range):
            kept.append(made)
            continue
        low, high = field.range
        writer.source = f"{field.name} is held in {field.bits} bits"
        cut = writer.line("min", writer.line("max", made, low), high)
        outside = writer.line("ne", made, cut)
        flag = outside if flag == 0 else writer.line("or", flag, outside)
        kept.append(cut)
    return kept, flag


def _output(
    writer: Writer, neurons: Neurons, step: StepProgram, made: Value, kept: list[Operand]
) -> Operand:
    if neurons.spiking:
        if isinstance(made, Word) and made.truth:
            return made.name
        raise writer.refused("to one spike a step, got several or a number. Set max_spikes=1")
    for text, after in zip(step.outputs[1:], kept, strict=True):
        if text == step.outputs[0]:
            return after  # a readout hands on what is kept
    return writer.placed(made, writer.fraction)


def _check_widths(name: str, ranges: Mapping[str, Range]) -> None:
    widest = max(width(bounds) for bounds in ranges.values())
    if widest > WIDEST:
        raise CompileError(
            f"fpga.lif: numbers of layer {name!r} must fit into {WIDEST} bits, got {widest}. Use "
            "fewer bits for the membrane or for coefficients."
        )
