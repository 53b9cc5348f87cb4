"""What a discrete program means: an interpreter in plain NumPy, step by step, and the judge of
the compiled runs. Slow, and meant to be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import singledispatchmethod
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    WindowSum,
)
from spikewright.compiler.formats import Format, Real, Spikes
from spikewright.compiler.step import NONE, Instruction, is_name, number_of
from spikewright.engine.products import geometry

Array = NDArray[Any]


class ReferenceRun(NamedTuple):
    """What every node handed out, (time, batch, *n), and every state field after each step."""

    outputs: dict[str, Array]
    states: dict[str, dict[str, Array]]


def run_reference(
    program: DiscreteProgram, x: Array, noise: Mapping[str, Array] | None = None
) -> ReferenceRun:
    """Run a program from a fresh start in float64.

    A node adds up what its edges bring, each rounded to its format: of this step, or of the step
    before, which is zero at the first one. Weights and what is kept in a state are rounded to
    their formats too.

    Args:
        x: (time, batch, *features).
        noise: standard normal numbers for the nodes that take them, (time, batch, *n).

    >>> import torch, spikewright as sw
    >>> from spikewright.compiler.passes.discretise import discretise
    >>> program = discretise(sw.Sequential(sw.IF(), dt=1.0, shape=(1,)))
    >>> run_reference(program, np.full((5, 1, 1), 0.4)).outputs["0_if"].ravel()
    array([0., 0., 1., 0., 0.])
    """
    run = _Run(program, len(x[0]))
    rows = [
        run.step(x[t], {name: xi[t] for name, xi in (noise or {}).items()}) for t in range(len(x))
    ]
    outputs = {node.name: np.stack([row[node.name] for row, _ in rows]) for node in program.nodes}
    states = {
        name: {key: np.stack([s[name][key] for _, s in rows]) for key in fields}
        for name, fields in rows[0][1].items()
    }
    return ReferenceRun(outputs, states)


def rounded(value: Array, form: Format) -> Array:
    """The numbers of a format that stand for ``value``, written apart from `quantised`."""
    if isinstance(form, Real):
        return value if form.dtype.itemsize >= 4 else _narrow(value, form)
    if isinstance(form, Spikes):
        return np.clip(np.floor(value), 0, form.maximum)
    scale = form.scale.double().numpy()
    q = value / scale
    whole = {"zero": np.trunc, "floor": np.floor, "nearest": lambda q: np.floor(q + 0.5)}
    q = whole[form.rounding](q)
    if form.overflow == "saturate":
        return np.clip(q, form.least, form.most) * scale
    return ((q - form.least) % 2**form.bits + form.least) * scale


def _narrow(value: Array, form: Real) -> Array:
    import torch

    return torch.from_numpy(value).to(form.dtype).double().numpy()


@dataclass
class _Run:
    """The state of a run: what each node keeps, and what it handed out in the step before."""

    program: DiscreteProgram
    batch: int
    kept: dict[str, Any] = field(default_factory=dict[str, Any])
    last: dict[str, Array] = field(default_factory=dict[str, Array])
    noise: Mapping[str, Array] = field(default_factory=dict[str, Array])
    name: str = ""

    def step(
        self, x: Array, noise: Mapping[str, Array]
    ) -> tuple[dict[str, Array], dict[str, dict[str, Array]]]:
        """One time step: what the nodes hand out, and the states of neurons after it."""
        self.noise = noise
        now = {INPUT: rounded(x.astype(np.float64), self.program.input_format)}
        for node in self.program.nodes:
            self.name = node.name
            now[node.name] = self._compute(node.operation, node, self._sum(node, now))
        self.last = now
        neurons = (n.name for n in self.program.nodes if isinstance(n.operation, Neurons))
        return now, {name: dict(self.kept[name]) for name in neurons}

    def _sum(self, node: Node, now: dict[str, Array]) -> Array:
        total: Any = 0.0
        for edge in node.edges:
            value = now[edge.source] if edge.steps == 0 else self.last.get(edge.source)
            if value is None:
                value = np.zeros((self.batch, *self.program.node(edge.source).shape))
            total = total + rounded(value, edge.format)
        return total

    @singledispatchmethod
    def _compute(self, operation: Any, node: Node, x: Array) -> Array:
        raise NotImplementedError(type(operation).__name__)

    @_compute.register
    def _(self, operation: Reshape, node: Node, x: Array) -> Array:
        return x.reshape(self.batch, *node.shape)

    @_compute.register
    def _(self, operation: Affine, node: Node, x: Array) -> Array:
        return x * _array(operation.scale) + _array(operation.shift)

    @_compute.register
    def _(self, operation: MatrixProduct, node: Node, x: Array) -> Array:
        return x @ _weight(operation.weight, node).T + _bias(operation.bias, node)

    @_compute.register
    def _(self, operation: Convolution, node: Node, x: Array) -> Array:
        weight = _weight(operation.weight, node)
        bias = _bias(operation.bias, node).reshape(-1, *[1] * len(operation.geometry.axes))
        return convolved(x, weight, operation.geometry) + bias

    @_compute.register
    def _(self, operation: WindowSum, node: Node, x: Array) -> Array:
        return np.sum(_windows(x, operation.geometry, 0.0), axis=0) * operation.factor

    @_compute.register
    def _(self, operation: Maximum, node: Node, x: Array) -> Array:
        return np.max(_windows(x, operation.geometry, -math.inf), axis=0)

    @_compute.register
    def _(self, operation: Delayed, node: Node, x: Array) -> Array:
        past = self._past(operation.depth, x)
        steps = np.broadcast_to(_array(operation.steps), x.shape).astype(int)
        f = _array(operation.fraction)
        near = np.take_along_axis(past, (operation.depth - steps)[None], 0)[0]
        far = np.take_along_axis(past, (operation.depth - steps - 1)[None], 0)[0]
        return (1 - f) * near + f * far

    @_compute.register
    def _(self, operation: DelayedProduct, node: Node, x: Array) -> Array:
        taps = _weight(operation.taps, node)
        past = self._past(taps.shape[2] - 1, x)
        return np.einsum("tbi,oit->bo", past, taps) + _bias(operation.bias, node)

    def _past(self, depth: int, x: Array) -> Array:
        """The last ``depth`` inputs, the oldest first, and ``x``."""
        before = self.kept.get(self.name)
        before = np.zeros((depth, *x.shape)) if before is None else before
        past = np.concatenate([before, x[None]])
        self.kept[self.name] = past[1:]
        return past

    @_compute.register
    def _(self, operation: Neurons, node: Node, x: Array) -> Array:
        step, shape = operation.step, (self.batch, *node.shape)
        kept = self.kept.get(node.name) or {
            name: np.broadcast_to(self._rounded(operation, name, _array(value)), shape)
            for name, value in operation.initial.items()
        }
        cells = len(step.inputs) - operation.noise
        xs = list(np.moveaxis(x.reshape(*shape, cells), -1, 0))
        xs += [self.noise[node.name]] if operation.noise else []
        values: dict[str, Any] = dict(zip(step.inputs, xs, strict=True)) | kept
        values |= {name: _array(value) for name, value in operation.coefficients.items()}
        for instruction in step.instructions:
            values[instruction.target] = execute(instruction, values)
        made = [_read(text, values) for text in step.outputs]
        after = {
            name: np.broadcast_to(self._rounded(operation, name, value), shape)
            for name, value in zip(step.state, made[1:], strict=True)
        }
        self.kept[node.name] = after
        y, handed_on = made[0], step.outputs[0]
        for name, text in zip(reversed(step.state), reversed(step.outputs[1:]), strict=True):
            if text == handed_on and not isinstance(operation.formats.get(name, Real()), Real):
                y = after[name]  # a readout hands on what is kept
        return np.broadcast_to(np.asarray(y, dtype=np.float64), shape)

    def _rounded(self, operation: Neurons, name: str, value: Array) -> Array:
        form = operation.formats.get(name, Real())
        return rounded(np.asarray(value, dtype=np.float64), form)


def _array(tensor: Any) -> Array:
    return tensor.detach().double().numpy()


def _weight(tensor: Any, node: Node) -> Array:
    value = _array(tensor)
    return value if node.weight_format is None else rounded(value, node.weight_format)


def _bias(tensor: Any, node: Node) -> Array:
    value = np.zeros(()) if tensor is None else _array(tensor)
    return value if node.bias_format is None else rounded(value, node.bias_format)


def convolved(x: Array, weight: Array, shape: geometry.Convolution) -> Array:
    """The sum over taps and input channels, group by group, (batch, outputs, *sizes)."""
    groups = np.split(x, shape.groups, 1)
    kernels = np.split(weight, shape.groups, 0)
    made: list[Any] = []
    for part, kernel in zip(groups, kernels, strict=True):
        flat = kernel.reshape(*kernel.shape[:2], -1)
        views = _windows(part, shape, 0.0)
        taps = zip(views, np.moveaxis(flat, -1, 0), strict=True)
        made.append(sum(np.einsum("bi...,oi->bo...", view, tap) for view, tap in taps))
    return np.concatenate(made, 1)


def _windows(x: Array, shape: geometry.Convolution, border: float) -> list[Array]:
    """For each tap what it meets at every place of the output, (batch, channels, *sizes)."""
    pads = [(axis.before, axis.after) for axis in shape.axes]
    x = np.pad(x, [(0, 0), (0, 0), *pads], constant_values=border)
    found: list[Array] = []
    for taps in product(*(range(axis.taps) for axis in shape.axes)):
        cut = [_cut(axis, tap) for axis, tap in zip(shape.axes, taps, strict=True)]
        found.append(x[(slice(None), slice(None), *cut)])
    return found


def _cut(axis: geometry.Axis, tap: int) -> slice:
    """The padded input that a tap meets."""
    first = tap * axis.dilation
    return slice(first, first + (axis.outputs - 1) * axis.stride + 1, axis.stride)


def execute(it: Instruction, values: Mapping[str, Any]) -> Array:
    """The result of one instruction; floating numbers are float64 whatever type it names."""
    operands: list[Any] = [None if t == NONE else _read(t, values) for t in it.operands]
    options = dict(it.options)
    if it.operation == "where":
        made = np.where(operands[0] != 0, operands[1], operands[2])
    elif it.operation == "clamp":
        low = -math.inf if operands[1] is None else operands[1]
        made = np.clip(operands[0], low, math.inf if operands[2] is None else operands[2])
    elif it.operation == "div" and "rounding_mode" in options:
        made = {"floor": np.floor, "trunc": np.trunc}[options["rounding_mode"]](
            operands[0] / operands[1]
        )
    elif "alpha" in options:
        made = _FUNCTIONS[it.operation](operands[0], float(options["alpha"]) * operands[1])
    else:
        made = _FUNCTIONS[it.operation](*operands)
    if it.dtype == "bool":
        return np.asarray(made) != 0
    return np.asarray(made, dtype=np.int64 if it.dtype.startswith("int") else np.float64)


def _read(text: str, values: Mapping[str, Any]) -> Any:
    return values[text] if is_name(text) else np.asarray(number_of(text))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in (
        "maximum", "minimum", "fmod", "remainder", "abs", "sign", "reciprocal", "sqrt", "exp",
        "exp2", "expm1", "log", "log1p", "log2", "sin", "cos", "tan", "tanh", "sinh", "cosh",
        "floor", "ceil", "trunc", "isnan", "isinf",
        "logical_and", "logical_or", "logical_xor", "logical_not",
    )},
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide, "pow": np.power,
    "atan2": np.arctan2, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "neg": np.negative, "sgn": np.sign, "round": np.rint, "convert": np.asarray,
    "gt": np.greater, "ge": np.greater_equal, "lt": np.less, "le": np.less_equal,
    "eq": np.equal, "ne": np.not_equal,
    "bitwise_and": np.logical_and, "bitwise_or": np.logical_or, "bitwise_xor": np.logical_xor,
    "bitwise_not": np.logical_not,
    "relu": lambda x: np.where(x <= 0, 0, x), "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "erf": np.vectorize(math.erf, otypes=[float]),
}  # fmt: skip
