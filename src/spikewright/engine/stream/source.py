"""The source of a stream: one time step of a whole network as one function.

All numbers of a sample (its input, its states, what the layers send to each other) lie in one row
``m`` of the array ``memory``, all weights and coefficients in one array ``w``, both at places that
are known when the source is printed. Each neuron's step is printed from its traced graph; the
products are calls of ``sources/stream.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import singledispatchmethod

import torch

from spikewright.engine.cpu.numba_ops import HEADER, as_type, print_operation
from spikewright.engine.products.geometry import Axis
from spikewright.engine.products.geometry import Convolution as Geometry
from spikewright.engine.program import (
    Competition,
    Convolution,
    Delayed,
    DelayedProduct,
    Feedback,
    MatrixProduct,
    Maximum,
    Part,
    Pointwise,
    Same,
    Shape,
    WindowSum,
)
from spikewright.engine.spike import DEFAULT_SURROGATE
from spikewright.engine.stream.values import arrays, padded
from spikewright.engine.tracing.fields import Field
from spikewright.engine.tracing.symbolic import Array, Interpreter
from spikewright.engine.tracing.trace import Slots, trace_step
from spikewright.errors import SpikewrightError

_NAMES = "steps, batch, w, memory, index, noise, x, y"
_HEAD = """
from numba import types

from spikewright.engine.native import native

HELPERS = native("spikewright.engine", "stream", np.dtype("{real}"))
finite, list_active, product = HELPERS.finite, HELPERS.list_active, HELPERS.product
convolve, largest, judge = HELPERS.convolve, HELPERS.largest, HELPERS.judge
remember, interpolate = HELPERS.remember, HELPERS.interpolate

POINTER, PLACES = types.CPointer(numba.from_dtype(np.dtype("{real}"))), types.CPointer(types.int64)
OPTIONS = {{"boundscheck": False, "error_model": "numpy", "pipeline_class": NoAlias}}
"""
_ENTRY = "ENTRY = types.int64(*[types.int64] * 2, POINTER, POINTER, PLACES, *[POINTER] * 3)"
INPUT = "input"
"""Name of what enters a network, among those of its layers."""
_STEP = f'''

@numba.cfunc(ENTRY, cache=True)
def step({_NAMES}):
    """One or more time steps; returns 1, and has done nothing, if the input is not finite."""
    w = numba.carray(w, (WEIGHTS,))
    memory = numba.carray(memory, (batch, ROW))
    noise = numba.carray(noise, (steps * batch * NOISE,))
    index = numba.carray(index, (ROW,))
    x = numba.carray(x, (steps * batch * INPUTS,))
    y = numba.carray(y, (steps * batch * OUTPUTS,))
    if not finite(x):
        return 1
    advance({_NAMES})
    return 0
'''
_REAL = {torch.float32: "f4", torch.float64: "f8"}


@dataclass(frozen=True)
class Node:
    """A layer in a network: what it does, and whose outputs it adds up for its input."""

    name: str
    part: Part
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where numbers lie in a row."""

    first: int
    size: int

    @property
    def text(self) -> str:
        """The numbers alone."""
        return f"{self.first}:{self.first + self.size}"

    @property
    def line(self) -> str:
        """The numbers and the zeros behind them."""
        return f"{self.first}:{self.first + padded(self.size)}"


@contextmanager
def naming(layer: str, where: str) -> Iterator[None]:
    """Put the layer's name before what is wrong with it."""
    try:
        yield
    except SpikewrightError as cause:
        raise type(cause)(f"{where}: layer {layer!r}: {cause}") from cause


@dataclass
class StreamSource:
    """The source under construction.

    Args:
        dtype: of all numbers.
        where: name for error messages.

    Attributes:
        row: length of a sample's row of ``memory``.
        states: where the state of each layer lies, by name.
        noise: random numbers that a sample needs each step.
        weights: length of ``w``.
    """

    dtype: torch.dtype
    where: str = "network.stream"
    row: int = 0
    noise: int = 0
    states: dict[str, list[Place]] = field(default_factory=dict[str, list[Place]])
    weights: int = 0
    _before: list[str] = field(default_factory=list[str])
    _lines: list[str] = field(default_factory=list[str])
    _lists: set[int] = field(default_factory=set[int])

    def network(self, nodes: Sequence[Node], inputs: int) -> str:
        """The whole source; ``inputs`` numbers enter in a step."""
        x = self._place(inputs)
        values: dict[str, Place] = {}
        for node in nodes:
            total = self._sum([values.get(source, x) for source in node.sources])
            states = [self._place(math.prod(shape)) for shape in node.part.state]
            self.states[node.name] = states
            self._before_node(node)
            with naming(node.name, self.where):
                values[node.name] = self._print(node.part, total, states)
            self._lists.discard(values[node.name].first)  # as of the step before
            self._after_node(node, {INPUT: x, **values})
        return self._function(x, values[nodes[-1].name])

    def _before_node(self, node: Node) -> None:
        """Called before a node is printed; its states have their places."""

    def _after_node(self, node: Node, values: Mapping[str, Place]) -> None:
        """Called after a node is printed, with where its output and those before it lie."""

    def _place(self, size: int) -> Place:
        place = Place(self.row, size)
        self.row += padded(size)
        return place

    def _claim(self, part: Part) -> list[Place]:
        """Where the part's own arrays lie in ``w``, in the order of `arrays`."""
        places: list[Place] = []
        for array in arrays(part):
            places.append(Place(self.weights, array.size))
            self.weights += padded(array.size)
        return places

    def _listed(self, place: Place) -> str:
        """List which values of a place are not zero; return the name of how many there are."""
        count = f"n{place.first}"
        if place.first not in self._lists:
            self._lists.add(place.first)
            line = place.line
            self._lines.append(f"{count} = list_active(m[{line}], index[{line}])")
        return count

    def _sum(self, places: Sequence[Place]) -> Place:
        if len(places) == 1:
            return places[0]
        total = self._place(places[0].size)
        terms = " + ".join(f"m[{place.first} + i]" for place in places)
        self._lines += [f"for i in range({total.size}):", f"    m[{total.first} + i] = {terms}"]
        return total

    @singledispatchmethod
    def _print(self, part: Part, x: Place, states: list[Place]) -> Place:
        """Print a part that gets ``x``; return where its output lies."""
        raise NotImplementedError(type(part).__name__)

    @_print.register
    def _(self, part: Same, x: Place, states: list[Place]) -> Place:
        return x

    @_print.register
    def _(self, part: Delayed, x: Place, states: list[Place]) -> Place:
        steps, fraction = self._claim(part)
        window, y = self._window(x, states[0]), self._place(x.size)
        given = f"m[{window.text}], w[{steps.text}], w[{fraction.text}]"
        self._lines.append(f"interpolate({given}, m[{y.text}])")
        return y

    @_print.register
    def _(self, part: DelayedProduct, x: Place, states: list[Place]) -> Place:
        return self._product(part, self._window(x, states[0]))

    def _window(self, x: Place, history: Place) -> Place:
        """Past inputs, oldest first, and ``x``."""
        window = self._place(history.size + x.size)
        self._lines.append(f"remember(m[{x.text}], m[{history.text}], m[{window.text}])")
        return window

    @_print.register
    def _(self, part: MatrixProduct, x: Place, states: list[Place]) -> Place:
        return self._product(part, x)

    def _product(self, part: MatrixProduct | DelayedProduct, x: Place) -> Place:
        rows, bias = self._claim(part)
        y = self._place(part.weight.shape[0])
        given = f"m[{x.text}], w[{rows.text}], w[{bias.text}], index[{x.line}], {self._listed(x)}"
        self._lines.append(f"product({given}, m[{y.text}])")
        return y

    @_print.register(Convolution)
    @_print.register(WindowSum)
    def _(self, part: Convolution | WindowSum, x: Place, states: list[Place]) -> Place:
        kernels, bias = self._claim(part)
        grid, y = (self._place(math.prod(part.geometry.shape)) for _ in range(2))
        listed = f"index[{x.line}], {self._listed(x)}"
        given = f"m[{x.text}], w[{kernels.text}], w[{bias.text}], {listed}"
        to = f"m[{grid.text}], m[{y.text}], {_sizes(part.geometry)}"
        self._lines.append(f"convolve({given}, {to})")
        return y

    @_print.register
    def _(self, part: Maximum, x: Place, states: list[Place]) -> Place:
        y = self._place(math.prod(part.geometry.shape))
        self._lines.append(f"largest(m[{x.text}], m[{y.text}], {_sizes(part.geometry)})")
        return y

    @_print.register
    def _(self, part: Pointwise, x: Place, states: list[Place]) -> Place:
        y = self._place(part.neurons)
        self._neurons(part, self._claim(part), [x], states, y)
        return y

    @_print.register
    def _(self, part: Competition, x: Place, states: list[Place]) -> Place:
        excess, verdict, y = (self._place(part.neurons.neurons) for _ in range(3))
        own = self._claim(part)
        self._neurons(part.trial, own, [x], states, excess)
        self._lines.append(f"judge(m[{excess.text}], {part.winners}, m[{verdict.text}])")
        self._neurons(part.neurons, own, [x], states, y, [verdict])
        return y

    @_print.register
    def _(self, part: Feedback, x: Place, states: list[Place]) -> Place:
        own = len(part.neurons.state)
        last = states[own]
        fed = self._print(part.connection, last, states[own + 1 :])
        self._neurons(part.neurons, self._claim(part.neurons), [x, fed], states[:own], last)
        return last

    def _neurons(
        self,
        part: Pointwise,
        own: Sequence[Place],
        xs: Sequence[Place],
        states: Sequence[Place],
        y: Place,
        signals: Sequence[Place] = (),
    ) -> None:
        """The loop over the neurons with their ``own`` coefficients and the sum of ``xs``."""
        slots = part.slots()
        graphs = trace_step(part.step, slots, DEFAULT_SURROGATE, None)
        steps = Interpreter(print_operation, "f_")  # not f32
        total, *others = [self._load(steps, f"x{n}", part.inputs, x) for n, x in enumerate(xs)]
        for other in others:
            total = steps.add(total, other)
        arguments = [total]
        for n, place in enumerate(signals):
            arguments.append(self._load(steps, f"u{n}", (), place))
        if part.noise is not None:
            arguments.append(self._load(steps, "xi", (), Place(self.noise, part.neurons), "xi"))
            self.noise += part.neurons
        for n, (shape, place) in enumerate(zip(slots.state, states, strict=True)):
            arguments.append(self._load(steps, f"s{n}", shape, place))
        arguments += self._coefficients(steps, own, slots)
        results = steps.run(graphs.forward, graphs.constants, arguments)
        after = [results[0], *results[len(graphs.outputs) :]]
        for place, values in zip([y, *states], after, strict=True):
            for k, term in enumerate(values.flat):
                cell = f"m[{place.first} + i * {values.size} + {k}]"
                steps.lines.append(self._assign(place, cell, as_type(term, self.dtype)))
        self._lines += [f"for i in range({part.neurons}):", *indented(steps.take())]

    def _assign(self, place: Place, cell: str, value: str) -> str:
        """The line that gives a cell of a place its value after the step."""
        return f"{cell} = {value}"

    def _coefficients(self, steps: Interpreter, own: Sequence[Place], slots: Slots) -> list[Array]:
        """Terms for the coefficients; those that all neurons share are read before the loops."""
        terms: list[Array] = []
        described = zip(own, slots.coefficients, slots.shared, strict=True)
        for place, shape, shared in described:
            name = f"c{place.first}"
            if shared:
                f = Field(name, shape)
                lines = [f"{own} = w[{place.first + k}]" for k, own in enumerate(f.names())]
                self._before += [line for line in lines if line not in self._before]
                terms.append(f.terms(self.dtype))
            else:
                terms.append(self._load(steps, name, shape, place, "w"))
        return terms

    def _load(
        self, steps: Interpreter, name: str, shape: Shape, place: Place, array: str = "m"
    ) -> Array:
        """Terms for the numbers of neuron ``i``, those of a neuron side by side."""
        f = Field(name, shape)
        for k, own in enumerate(f.names()):
            steps.lines.append(f"{own} = {array}[{place.first} + i * {f.width} + {k}]")
        return f.terms(self.dtype)

    def _function(self, x: Place, y: Place) -> str:
        body = [
            *self._before,
            "for b in range(batch):",
            "    m = memory[b]",
            "    for t in range(steps):",
            "        r = t * batch + b",
            f"        xi = noise[r * {self.noise} : (r + 1) * {self.noise}]",
            f"        for i in range({x.size}):",
            f"            m[{x.first} + i] = x[r * {x.size} + i]",
            *indented(self._lines, 2),
            f"        for i in range({y.size}):",
            f"            y[r * {y.size} + i] = m[{y.first} + i]",
        ]
        numbers = {"WEIGHTS": self.weights, "ROW": self.row, "NOISE": self.noise}
        numbers |= {"INPUTS": x.size, "OUTPUTS": y.size}
        return printed(self.dtype, _ENTRY, numbers, _NAMES, body) + _STEP


def printed(
    dtype: torch.dtype, entry: str, sizes: Mapping[str, int], names: str, body: Sequence[str]
) -> str:
    """The source of ``advance(names)``, with what its entry needs before it."""
    constants = [f"{name} = {value}" for name, value in sizes.items()]
    advance = ["@numba.njit(**OPTIONS)", f"def advance({names}):", *indented(body)]
    return "\n".join([HEADER, _HEAD.format(real=_REAL[dtype]), entry, *constants, "", "", *advance])


def indented(lines: Sequence[str], depth: int = 1) -> list[str]:
    """The lines ``depth`` levels further in."""
    return ["    " * depth + line for line in lines]


def _sizes(geometry: Geometry) -> str:
    """What `convolve` and `largest` are told; one axis counts as a plane one pixel high."""
    both = (Axis(1, 1, 1, 1, 0, 0), *geometry.axes)[-2:]
    axes = [(a.size, a.taps, a.stride, a.dilation, a.before, a.outputs) for a in both]
    return str(((geometry.in_group, geometry.width), *axes))
