"""A neuron's step in whole numbers as a SystemVerilog module, cut by registers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from string import Template

from spikewright.targets.fpga.lif.network import FixedLayer
from spikewright.targets.fpga.lif.operations import OPERATIONS, width
from spikewright.targets.fpga.lif.pipeline import depth, stages
from spikewright.targets.fpga.lif.step import BIAS, SUM, FixedStep, Line, Operand

_NEURON = Template("""\
// One step of a neuron of layer '$name', made by spikewright from its traced step.
// Numbers are two's complement with $fraction binary places, those of sums of weights $places.
// Nothing in between can overflow: each is as wide as its range, whatever the input.
${timing}module $module (
${clocked}    input  logic signed [$sum_top:0] total,
    input  logic signed [$bias_top:0] bias,
    input  logic [$state_top:0] state,
    output logic [$state_top:0] next_state,
    output logic signed [$value_top:0] value,
    output logic fires,
    output logic saturates
);
$fields

  /* verilator lint_off UNUSEDSIGNAL */  // of what is only used where it is small, not all bits are
$lines
  /* verilator lint_on UNUSEDSIGNAL */

  assign next_state = {$after};
  assign value = $value;
  assign fires = $fires;
  assign saturates = $saturates;
endmodule
""")

_TIMING = """\
// The answer comes {depth} clocks after its operands, clocks without `advance` not counted;
// x__2 is the x of two such clocks ago.
"""
_CLOCKED = """\
    input  logic clock,
    input  logic advance,
"""
_LATER = "@"
"""Between a name and by how many registers it is later."""


def sum_bits(layer: FixedLayer) -> int:
    """Of a sum of weights."""
    return max(width(layer.step.ranges[SUM]), 2)


def bias_bits(layer: FixedLayer) -> int:
    """Of a bias."""
    return max(width(layer.step.ranges[BIAS]), 2)


def state_bits(layer: FixedLayer) -> int:
    """Of all fields of a neuron side by side."""
    return sum(field.bits for field in layer.step.fields)


def value_bits(layer: FixedLayer) -> int:
    """Of what a neuron hands out, the sign included; a spike is the number 1."""
    output = layer.step.output
    if layer.spiking:
        return 2
    return width(layer.step.ranges[output] if isinstance(output, str) else (output, output))


def neuron_text(layer: FixedLayer, module: str) -> str:
    """The module; its lines name the instructions of the traced step from which they came.

    The state's first field is in the lowest bits.
    """
    step, cuts = read_in_time(layer.step), depth(layer.step)
    fires = _bit(step.output, step) if layer.spiking else "1'b0"
    value = f"{{1'b0, {fires}}}" if layer.spiking else _sized(step.output, value_bits(layer), step)
    after = (
        _sized(made, field.bits, step) for field, made in zip(step.fields, step.after, strict=True)
    )
    lines = [*_registers_text(step), *_lines_text(step), *_moves_text(step)]
    return _NEURON.substitute(
        name=layer.name, module=module, fraction=layer.fraction, places=layer.places,
        timing=_TIMING.format(depth=cuts) if cuts else "", clocked=_CLOCKED if cuts else "",
        sum_top=sum_bits(layer) - 1, bias_top=bias_bits(layer) - 1,
        state_top=state_bits(layer) - 1, value_top=value_bits(layer) - 1,
        fields="\n".join(_fields_text(step)), lines="\n".join(lines),
        after=", ".join(reversed(list(after))), value=value, fires=fires,
        saturates=_bit(step.saturates, step),
    )  # fmt: skip


def read_in_time(step: FixedStep) -> FixedStep:
    """The step with every name it reads as late as the line that reads it: ``n3@2``."""
    when, last = stages(step), depth(step)

    def late(operand: Operand, stage: int) -> Operand:
        ranks = stage - when[operand] if isinstance(operand, str) else 0
        return f"{operand}{_LATER}{ranks}" if ranks else operand

    lines = tuple(
        replace(line, operands=tuple(late(o, when[line.target]) for o in line.operands))
        for line in step.lines
    )
    after = tuple(late(operand, last) for operand in step.after)
    output, saturates = late(step.output, last), late(step.saturates, last)
    return replace(step, lines=lines, output=output, after=after, saturates=saturates)


def _fields_text(step: FixedStep) -> Iterator[str]:
    low = 0
    for field in step.fields:
        name, top = _name(field.argument), field.bits - 1
        yield f"  logic signed [{top}:0] {name};"
        yield f"  assign {name} = state[{low + top}:{low}];"
        low += field.bits


def _lines_text(step: FixedStep) -> Iterator[str]:
    source = ""
    for line in step.lines:
        if line.source != source:
            source = line.source
            yield f"  // {source}"
        bits = width(step.ranges[line.target])
        if OPERATIONS[line.operation].boolean:
            kind, text = "logic", OPERATIONS[line.operation].verilog(*_compared(line, step))
        else:
            kind, text = f"logic signed [{bits - 1}:0]", _number_text(line, bits, step)
        yield f"  {kind} {line.target};"
        yield f"  assign {line.target} = {text};"


def _late_copies(step: FixedStep) -> Iterator[tuple[str, str]]:
    """Each name that is read late with the name it has one register earlier."""
    read = [o for line in step.lines for o in line.operands]
    ranks = dict[str, int]()
    for operand in [*read, step.output, step.saturates, *step.after]:
        if isinstance(operand, str):
            base, rank = _parted(operand)
            ranks[base] = max(ranks.get(base, 0), rank)
    for base, last in ranks.items():
        names = [base, *(f"{base}{_LATER}{rank}" for rank in range(1, last + 1))]
        yield from zip(names[1:], names[:-1], strict=True)


def _registers_text(step: FixedStep) -> Iterator[str]:
    truths = {line.target for line in step.lines if OPERATIONS[line.operation].boolean}
    for late, _ in _late_copies(step):
        kind = "" if _parted(late)[0] in truths else f"signed [{_bits(late, step) - 1}:0] "
        yield f"  logic {kind}{_name(late)};"


def _moves_text(step: FixedStep) -> Iterator[str]:
    moves = [f"      {_name(late)} <= {_name(now)};" for late, now in _late_copies(step)]
    if moves:
        yield from ("  always_ff @(posedge clock)", "    if (advance) begin", *moves, "    end")


def _parted(operand: str) -> tuple[str, int]:
    """A name, and by how many registers it is later."""
    base, _, rank = operand.partition(_LATER)
    return base, int(rank or 0)


def _number_text(line: Line, bits: int, step: FixedStep) -> str:
    verilog = OPERATIONS[line.operation].verilog
    match line.operation, line.operands:
        case "number", (truth,):
            return f"{bits}'($signed({{1'b0, {_bit(truth, step)}}}))"
        case "shl", (a, places):
            return verilog(_sized(a, bits, step), str(places))
        case "shr", (a, places):
            return f"{bits}'({verilog(_sized(a, _bits(a, step), step), str(places))})"
        case "select", (condition, a, b):
            return verilog(_bit(condition, step), _sized(a, bits, step), _sized(b, bits, step))
        case (("max" | "min"), operands):
            wide = max(_bits(o, step) for o in operands)
            text = verilog(*(_sized(o, wide, step) for o in operands))
            return text if wide == bits else f"{bits}'({text})"
        case _:
            return verilog(*(_sized(o, bits, step) for o in line.operands))


def _compared(line: Line, step: FixedStep) -> list[str]:
    if line.operation in ("and", "or", "xor", "not"):
        return [_bit(o, step) for o in line.operands]
    wide = max(_bits(o, step) for o in line.operands)
    return [_sized(o, wide, step) for o in line.operands]


def _bits(operand: Operand, step: FixedStep) -> int:
    """Bits of an operand as it is declared."""
    if isinstance(operand, int):
        return width((operand, operand))
    operand, _ = _parted(operand)
    declared = {field.argument: field.bits for field in step.fields}
    least = 2 if operand in (SUM, BIAS) else 1
    return declared.get(operand, max(width(step.ranges[operand]), least))


def _sized(operand: Operand, bits: int, step: FixedStep) -> str:
    if isinstance(operand, int):
        return f"-{bits}'sd{-operand}" if operand < 0 else f"{bits}'sd{operand}"
    name = _name(operand)
    return name if _bits(operand, step) == bits else f"{bits}'({name})"


def _bit(operand: Operand, step: FixedStep) -> str:
    if isinstance(operand, int):
        return f"1'b{operand}"
    return _name(operand)


def _name(text: str) -> str:
    """A name that is no word of SystemVerilog."""
    base, rank = _parted(text)
    plain = "total" if base == SUM else re.sub(r"\W", "_", base)
    return f"{plain}__{rank}" if rank else plain
