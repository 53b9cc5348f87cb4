"""Whether a discrete program makes sense: asked before and after passes, and after loading."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from spikewright.compiler.discrete import (
    INPUT,
    Affine,
    Convolution,
    Delayed,
    DelayedProduct,
    DiscreteProgram,
    MatrixProduct,
    Maximum,
    Neurons,
    Node,
    Reshape,
    Shape,
    WindowSum,
)
from spikewright.compiler.formats import Fixed, Format, Spikes
from spikewright.compiler.steps.faults import step_faults
from spikewright.compiler.tensors import dtypes_of, tensors_of, weight_of
from spikewright.engine.products import geometry
from spikewright.errors import CompileError


def verify(program: DiscreteProgram) -> DiscreteProgram:
    """The program itself, if it makes sense.

    Raises:
        CompileError: it does not; all faults are listed.
    """
    found = faults(program)
    if found:
        raise CompileError(
            f"compiler.verify: the program must make sense, got {len(found)} faults:\n"
            + "\n".join(f"- {fault}" for fault in found)
        )
    return program


def faults(program: DiscreteProgram) -> list[str]:
    """All that is wrong with a program: a rule and what there is instead, each.

    Names are used once, edges lead from nodes that are there, no value of this step comes from a
    later node, shapes fit, numbers are finite, formats fit what they describe, and the steps of
    neurons are made of known instructions.
    """
    found: list[str] = []
    if not 0 < program.dt < math.inf:
        found.append(f"dt must be a finite time above 0 s, got {program.dt}")
    found += [f"input: {fault}" for fault in _format_faults(program.input_format, program.shape)]
    counts = Counter(node.name for node in program.nodes)
    for name, count in counts.items():
        if count > 1 or name in ("", INPUT):
            found.append(f"name of a node must be its own and not 'input', got {name!r}")
    if program.output not in counts:
        found.append(f"output must be a node, got {program.output!r}")
    shapes = {INPUT: program.shape} | {node.name: node.shape for node in program.nodes}
    before = {INPUT}
    dtypes = Counter[torch.dtype]()
    for node in program.nodes:
        checks = (*_edge_faults(node, shapes, before), *_node_faults(node, shapes, dtypes))
        found += [f"node {node.name!r}: {fault}" for fault in checks]
        before.add(node.name)
    if len(dtypes) > 1:
        found.append(
            f"numbers must be of one type, got "
            f"{', '.join(map(str, dtypes))}; net.float() makes them so"
        )
    return found


def _edge_faults(node: Node, shapes: dict[str, Shape], before: set[str]) -> Iterator[str]:
    if not node.edges:
        yield "it must have an incoming edge, got none"
    for edge in node.edges:
        if edge.source not in shapes:
            yield f"source must be 'input' or a node, got {edge.source!r}"
            continue
        if edge.steps not in (0, 1) or (edge.steps and edge.source == INPUT):
            yield f"steps must be 0, or 1 from a node, got {edge.steps} from {edge.source!r}"
        if edge.steps == 0 and edge.source not in before:
            yield f"a value of this step must come from a node before it, got {edge.source!r}"
        shape = shapes[edge.source]
        yield from (f"from {edge.source!r}: {f}" for f in _format_faults(edge.format, shape))
    known = {shapes[edge.source] for edge in node.edges if edge.source in shapes}
    if len(known) > 1:
        yield f"what its edges bring must have one shape, got {sorted(known)}"


def _node_faults(
    node: Node, shapes: dict[str, Shape], dtypes: Counter[torch.dtype]
) -> Iterator[str]:
    dtypes.update(dtypes_of(node))
    for name, value in tensors_of(node).items():
        if not bool(value.isfinite().all()):
            yield f"{name} must be finite, got {value[~value.isfinite()].flatten()[0].item()}"
    if node.weight_format is not None:
        weight = weight_of(node)
        if weight is not None:
            yield from _format_faults(node.weight_format, tuple(weight.shape))
        else:
            yield "it must have weights to have a format of weights, got none"
    if node.bias_format is not None:
        bias = tensors_of(node).get("bias")
        if bias is None:
            yield "it must have a bias to have a format of it, got none"
        else:
            yield from _format_faults(node.bias_format, tuple(bias.shape))
    known = [shapes[edge.source] for edge in node.edges if edge.source in shapes]
    if known:
        yield from _operation_faults(node.operation, known[0], node.shape)


def _format_faults(form: Format, shape: Shape) -> Iterator[str]:
    if isinstance(form, Spikes) and form.maximum < 1:
        yield f"a format of spikes must hold at least 1, got {form.maximum}"
    if isinstance(form, Fixed) and not _fits(tuple(form.scale.shape), shape):
        yield f"scale of a format must broadcast to {shape}, got {tuple(form.scale.shape)}"


def _fits(given: Shape, needed: Shape) -> bool:
    """Whether a tensor broadcasts to a shape."""
    try:
        return torch.broadcast_shapes(given, needed) == torch.Size(needed)
    except RuntimeError:
        return False


def _shaped(name: str, given: Tensor | Shape, needed: Shape) -> Iterator[str]:
    shape = tuple(given.shape) if isinstance(given, Tensor) else given
    if shape != needed:
        yield f"{name} must be of shape {needed}, got {shape}"


def _broadcast(name: str, given: Tensor, needed: Shape) -> Iterator[str]:
    if not _fits(tuple(given.shape), needed):
        yield f"{name} must broadcast to {needed}, got {tuple(given.shape)}"


@singledispatch
def _operation_faults(operation: Any, x: Shape, y: Shape) -> Iterator[str]:
    """Faults of an operation from inputs of shape ``x`` to outputs of shape ``y``."""
    yield f"operation must be a known one, got {type(operation).__name__}"


@_operation_faults.register
def _(operation: Reshape, x: Shape, y: Shape) -> Iterator[str]:
    if math.prod(x) != math.prod(y):
        yield f"output must have as many numbers as the input {x}, got {y}"


@_operation_faults.register
def _(operation: Affine, x: Shape, y: Shape) -> Iterator[str]:
    yield from _shaped("output", y, x)
    yield from _broadcast("scale", operation.scale, x)
    yield from _broadcast("shift", operation.shift, x)


@_operation_faults.register
def _(operation: MatrixProduct, x: Shape, y: Shape) -> Iterator[str]:
    yield from _shaped("weight", operation.weight, (*y, *x))
    yield from _bias(operation.bias, y[:1])


@_operation_faults.register
def _(operation: DelayedProduct, x: Shape, y: Shape) -> Iterator[str]:
    if operation.taps.ndim != 3 or operation.taps.shape[2] < 2:
        yield f"taps must be (outputs, inputs, steps + 1), got {tuple(operation.taps.shape)}"
    yield from _shaped("taps of one step", tuple(operation.taps.shape[:2]), (*y, *x))
    yield from _bias(operation.bias, y[:1])


def _bias(bias: Tensor | None, needed: Shape) -> Iterator[str]:
    if bias is not None:
        yield from _shaped("bias", bias, needed)


@_operation_faults.register
def _(operation: Delayed, x: Shape, y: Shape) -> Iterator[str]:
    yield from _shaped("output", y, x)
    yield from _broadcast("steps", operation.steps, x)
    yield from _broadcast("fraction", operation.fraction, x)
    steps, fraction = operation.steps, operation.fraction
    if not bool(((steps >= 0) & (steps < operation.depth)).all()):
        yield f"steps must be 0 to depth - 1 = {operation.depth - 1}, got {int(steps.max())}"
    if not bool(((fraction >= 0) & (fraction <= 1)).all()):
        yield f"fraction must be 0 to 1, got {fraction.max().item():g}"


@_operation_faults.register
def _(operation: Convolution, x: Shape, y: Shape) -> Iterator[str]:
    shape = operation.geometry
    wrong = list(_geometry(shape, x, y))
    yield from wrong
    if not wrong:
        taps = tuple(axis.taps for axis in shape.axes)
        yield from _shaped("weight", operation.weight, (shape.outputs, shape.in_group, *taps))
        yield from _bias(operation.bias, (shape.outputs,))


@_operation_faults.register(WindowSum)
@_operation_faults.register(Maximum)
def _(operation: WindowSum | Maximum, x: Shape, y: Shape) -> Iterator[str]:
    shape = operation.geometry
    yield from _geometry(shape, x, y)
    if not shape.inputs == shape.outputs == shape.groups:
        yield "windows must be of one channel each, got channels that are mixed"
    if isinstance(operation, WindowSum) and not math.isfinite(operation.factor):
        yield f"factor must be finite, got {operation.factor}"


def _geometry(shape: geometry.Convolution, x: Shape, y: Shape) -> Iterator[str]:
    counts = (shape.inputs, shape.outputs, shape.groups)
    sizes = [s for a in shape.axes for s in (a.size, a.taps, a.stride, a.dilation)]
    if min(*counts, *sizes, 1) < 1 or len(shape.axes) not in (1, 2):
        yield f"channels, groups, sizes and strides must be at least 1, got {counts} and {sizes}"
        return
    if shape.inputs % shape.groups or shape.outputs % shape.groups:
        yield f"groups must divide both numbers of channels, got {counts}"
        return
    yield from _shaped("input", x, (shape.inputs, *(axis.size for axis in shape.axes)))
    yield from _shaped("output", y, shape.shape)


@_operation_faults.register
def _(operation: Neurons, x: Shape, y: Shape) -> Iterator[str]:
    step = operation.step
    yield from step_faults(step, operation.noise)
    cells = len(step.inputs) - operation.noise
    if math.prod(x) != cells * math.prod(y):
        yield f"input must have {cells} numbers for each of {y} neurons, got {x}"
    groups = (
        ("coefficients", operation.coefficients, step.coefficients),
        ("initial", operation.initial, step.state),
    )
    for name, values, needed in groups:
        if set(values) != set(needed):
            yield f"{name} must be those of the step, {list(needed)}, got {list(values)}"
        for key, value in values.items():
            yield from _broadcast(f"{name} {key!r}", value, y)
    if not set(operation.formats) <= set(step.state):
        yield f"formats must be of state fields {list(step.state)}, got {list(operation.formats)}"
    for name, form in operation.formats.items():
        yield from (f"state {name!r}: {fault}" for fault in _format_faults(form, y))
