"""Which numbers a node hands on, as far as the program itself says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch

from spikewright.compiler.discrete import (
    INPUT,
    Delayed,
    DiscreteProgram,
    Maximum,
    Neurons,
    Node,
    Reshape,
    WindowSum,
)
from spikewright.compiler.formats import Fixed, Format, Real, Spikes
from spikewright.compiler.step import StepProgram
from spikewright.compiler.tensors import dtypes_of


def carried(program: DiscreteProgram) -> dict[str, Format]:
    """By source, the format that fits all numbers it hands on, without rounding any.

    Spikes stay spikes through reshaping, pooling and delays of whole steps.
    """
    real = Real(program_dtype(program.nodes))
    formats: dict[str, Format] = {INPUT: program.input_format}
    for node in program.nodes:
        known = [formats.get(edge.source, real) for edge in node.edges]
        formats[node.name] = _handed_on(node, known, real)
    return formats


def with_carried_formats(program: DiscreteProgram) -> DiscreteProgram:
    """The program with the format of its source on every edge."""
    formats = carried(program)
    nodes = tuple(
        replace(node, edges=tuple(replace(e, format=formats[e.source]) for e in node.edges))
        for node in program.nodes
    )
    return replace(program, nodes=nodes)


def program_dtype(nodes: Iterable[Node]) -> torch.dtype:
    """The dtype of the numbers of a program."""
    found = (dtype for node in nodes for dtype in dtypes_of(node))
    return next(found, torch.get_default_dtype())


def is_exact(format: Format, source: Format, real: Real) -> bool:
    """Whether every number that ``source`` can hold is one of ``format`` too.

    >>> is_exact(Spikes(3), Spikes(1), Real()), is_exact(Real(torch.float16), Real(), Real())
    (True, False)
    """
    if isinstance(format, Real):
        return format in (real, source)
    if format is source:
        return True
    if not isinstance(source, Spikes):
        return False
    if isinstance(format, Spikes):
        return source.maximum <= format.maximum
    return bool((format.scale == 1).all()) and source.maximum <= format.most


def spikes_bound(step: StepProgram) -> int | None:
    """The most spikes a step can hand out; ``None`` if it need not be a whole number from 0.

    >>> from spikewright.compiler.step import Instruction
    >>> fires = Instruction("t0", "gt", ("x", "1.0"), "bool")
    >>> spikes = Instruction("t1", "convert", ("t0",), "float32")
    >>> spikes_bound(StepProgram(("x",), (), (), (fires, spikes), ("t1",)))
    1
    """
    made = {it.target: it for it in step.instructions}

    def bound(text: str) -> int | None:
        it = made.get(text)
        if it is None:
            return 0 if text in ("0", "0.0") else None
        if it.dtype == "bool":
            return 1
        match it.operation, it.operands:
            case "convert", (value,):
                return bound(value)
            case "where", (_, a, b):
                sides = bound(a), bound(b)
                return None if None in sides else max(s or 0 for s in sides)
            case "clamp", (value, "0" | "0.0", most) if _whole(value):
                return int(float(most)) if most.replace(".0", "").isdigit() else None
            case _:
                return None

    def _whole(text: str) -> bool:
        it = made.get(text)
        if it is None:
            return text.replace(".0", "").isdigit()
        if it.operation in ("floor", "ceil", "trunc", "round"):
            return True
        return it.operation in ("add", "sub", "convert") and all(map(_whole, it.operands))

    return bound(step.outputs[0])


def _handed_on(node: Node, inputs: list[Format], real: Real) -> Format:
    operation = node.operation
    if isinstance(operation, Neurons):
        most = spikes_bound(operation.step) if operation.spiking else None
        return real if most is None else Spikes(most)
    counts = [f.maximum for f in inputs if isinstance(f, Spikes)]
    if len(counts) != len(inputs):
        same = inputs[0] if len(inputs) == 1 and isinstance(inputs[0], Fixed) else real
        return same if isinstance(operation, Reshape | Maximum) else real
    match operation:
        case Reshape() | Maximum():
            return Spikes(sum(counts))
        case Delayed() if not bool(operation.fraction.any()):
            return Spikes(sum(counts))
        case WindowSum() if operation.factor == 1:
            return Spikes(sum(counts) * operation.geometry.taps)
        case _:
            return real
