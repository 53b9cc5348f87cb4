"""A discrete program as text: everything but the numbers of its large tensors.

A tensor of one number is written out, any other as its type, shape and a checksum. `parse` makes
the program again from the text and the tensors.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.compiler.discrete import (
    INPUT,
    Convolution,
    Delayed,
    DiscreteProgram,
    Edge,
    Maximum,
    Neurons,
    Node,
    Shape,
    WindowSum,
)
from spikewright.compiler.formats import Fixed, Format
from spikewright.compiler.tensors import tensors_of
from spikewright.engine.products import geometry
from spikewright.errors import ProgramError

HEAD = "spikewright program 1"
WORDS = {
    "Reshape": "reshape",
    "Affine": "affine",
    "MatrixProduct": "product",
    "Convolution": "convolution",
    "WindowSum": "window-sum",
    "Maximum": "maximum",
    "Delayed": "delay",
    "DelayedProduct": "delayed-product",
    "Neurons": "neurons",
}
"""What each operation is called."""
_SIMPLE = re.compile(r"[\w./-]+")


def to_text(program: DiscreteProgram) -> str:
    """The program as text.

    >>> import spikewright as sw
    >>> from spikewright.compiler.passes.discretise import discretise
    >>> net = sw.Sequential(sw.Flatten(), sw.Linear(6, 2), dt=1e-3, shape=(2, 3))
    >>> for line in filter(None, to_text(discretise(net)).splitlines()):  # doctest: +ELLIPSIS
    ...     print(line)
    spikewright program 1
    dt 0.001
    input (2, 3) : float32
    output 1_linear
    node 0_flatten : reshape (6)
      from input : float32
    node 1_linear : product (2)
      from 0_flatten : float32
      weight float32 (2, 6) sha256:...
      bias float32 (2) sha256:...
    """
    head = [
        HEAD,
        f"dt {program.dt!r}",
        f"{INPUT} {shape_text(program.shape)} : {format_text(program.input_format)}",
        f"output {word(program.output)}",
    ]
    return "\n".join([*head, *(line for node in program.nodes for line in _node(node))]) + "\n"


def program_tensors(program: DiscreteProgram) -> dict[str, Tensor]:
    """The tensors that the text of a program refers to, by ``"node/field"``.

    Raises:
        ProgramError: two of them have the same name, for nodes are called so.
    """
    found: dict[str, Tensor] = {}
    for key, value in _all_tensors(program):
        if key in found:
            raise ProgramError(
                f"compiler.text: tensors of nodes must have names of their own, got {key!r} twice. "
                "Rename a layer that has '/' in its name."
            )
        found[key] = value
    return {key: value for key, value in found.items() if value.ndim}


def _all_tensors(program: DiscreteProgram) -> Iterator[tuple[str, Tensor]]:
    yield from _scale(INPUT, program.input_format)
    for node in program.nodes:
        for field, value in tensors_of(node).items():
            yield f"{node.name}/{field}", value
        for place, edge in enumerate(node.edges):
            yield from _scale(f"{node.name}/from/{place}", edge.format)
        if node.weight_format is not None:
            yield from _scale(f"{node.name}/weights", node.weight_format)
        if node.bias_format is not None:
            yield from _scale(f"{node.name}/biases", node.bias_format)
        if isinstance(node.operation, Neurons):
            for name, form in node.operation.formats.items():
                yield from _scale(f"{node.name}/state/{name}", form)


def _scale(key: str, form: Format) -> Iterator[tuple[str, Tensor]]:
    if isinstance(form, Fixed):
        yield f"{key}/scale", form.scale


def _node(node: Node) -> Iterator[str]:
    operation: Any = node.operation
    kind = WORDS[type(operation).__name__]
    yield ""
    yield f"node {word(node.name)} : {kind} {shape_text(node.shape)}"
    for edge in node.edges:
        yield f"  {_edge(edge)}"
    if isinstance(operation, Neurons):
        yield from _neurons(operation)
        return
    if isinstance(operation, Convolution | WindowSum | Maximum):
        yield from _geometry(operation.geometry)
    if isinstance(operation, WindowSum):
        yield f"  factor {operation.factor!r}"
    if isinstance(operation, Delayed):
        yield f"  depth {operation.depth}"
    weights, bias = node.weight_format, node.bias_format
    forms = {"weight": weights, "taps": weights, "bias": bias}
    for field, value in tensors_of(node).items():
        form = forms.get(field)
        kept = "" if form is None else f" : {format_text(form)}"
        yield f"  {field} {tensor_text(value)}{kept}"


def _edge(edge: Edge) -> str:
    before = " before" if edge.steps else ""
    return f"from {word(edge.source)}{before} : {format_text(edge.format)}"


def _geometry(shape: geometry.Convolution) -> Iterator[str]:
    yield f"  channels {shape.inputs} {shape.outputs} groups {shape.groups}"
    for axis in shape.axes:
        sizes = f"size {axis.size} taps {axis.taps} stride {axis.stride} dilation {axis.dilation}"
        yield f"  axis {sizes} zeros {axis.before} {axis.after}"


def _neurons(neurons: Neurons) -> Iterator[str]:
    flags = [name for name in ("spiking", "noise") if getattr(neurons, name)]
    yield " ".join(["  model", word(neurons.model), *flags])
    for name, value in neurons.parameters.items():
        yield f"  parameter {name} {tensor_text(value)}"
    for name, value in neurons.options.items():
        yield f"  option {name} {json.dumps(value)}"
    for name in neurons.step.coefficients:
        yield f"  coefficient {name} {tensor_text(neurons.coefficients[name])}"
    for name in neurons.step.state:
        kept = format_text(neurons.formats[name])
        yield f"  state {name} {tensor_text(neurons.initial[name])} : {kept}"
    yield " ".join(["  step", *neurons.step.inputs])
    yield from (f"    {line}" for line in str(neurons.step).splitlines())


def word(name: str) -> str:
    """A name, quoted if it has other characters than those of simple names."""
    return name if _SIMPLE.fullmatch(name) else json.dumps(name)


def shape_text(shape: Shape) -> str:
    """``(2, 3)`` and ``(6)``."""
    return f"({', '.join(map(str, shape))})"


def format_text(form: Format) -> str:
    """A number format in words."""
    if not isinstance(form, Fixed):
        return str(form)
    sign = "signed" if form.signed else "unsigned"
    words = [str(form.bits), sign, *["symmetric"] * form.symmetric, form.rounding, form.overflow]
    return f"fixed<{' '.join(words)}> {tensor_text(form.scale)}"


def tensor_text(tensor: Tensor) -> str:
    """Type and number, or type, shape and checksum."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    if tensor.ndim:
        return f"{dtype} {shape_text(tuple(tensor.shape))} sha256:{checksum(tensor)}"
    return f"{dtype} {_number(tensor)}"


def checksum(tensor: Tensor) -> str:
    """The first 16 digits of the SHA-256 of a tensor's bytes."""
    content = tensor.detach().cpu().contiguous().numpy().tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def _number(tensor: Tensor) -> str:
    """The shortest text that is read as the same number."""
    exact = tensor.item()
    if tensor.dtype is not torch.float32:
        return repr(exact)
    short = str(np.float32(exact))
    return short if torch.tensor(float(short)).item() == exact else repr(exact)
