"""The source of a fused CPU kernel: a printed step inside a loop over time.

The neurons of all samples lie side by side as ``lanes = batch * neurons``. A kernel takes tiles
of `LANES` lanes; a tile runs through the whole sequence while its state and coefficients stay in
the nearest cache, in one array ``work`` with a row for each of them (one array, so that the
compiler sees that rows do not overlap, and vectorises over lanes).

Steps are taken `UNROLLED` at a time: their states pass from one to the next in registers, and
several rows of the sequence are on their way from memory at once.

Bytes that must move, in passes over a (time, lanes) array: forward reads the input and writes the
output. Nothing else is kept but the state at every `SEGMENT`-th step. Backward reads input and
output gradient, computes the states of one segment again inside the cache, and writes the
input gradient. Coefficient gradients are summed over time for each lane, and over the batch
afterwards in a fixed order, so that the number of threads cannot change a bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from spikewright.engine.numba_ops import HEADER, as_type, print_operation
from spikewright.engine.symbolic import Array, Interpreter, Term
from spikewright.engine.trace import Needs, StepGraphs

LANES = 512
UNROLLED = 4
SEGMENT = 4 * UNROLLED
_NUMBA = {torch.float32: "f4", torch.float64: "f8"}


@dataclass(frozen=True)
class Field:
    """One array argument: its name and the sizes of its trailing axis, unrolled."""

    name: str
    shape: tuple[int, ...]

    @property
    def width(self) -> int:
        return math.prod(self.shape)

    def cells(self) -> range:
        return range(self.width)

    def names(self, prefix: str = "") -> list[str]:
        """A name for each element."""
        return [f"{prefix}{self.name}_{k}" for k in self.cells()]

    def terms(self, dtype: torch.dtype, prefix: str = "", suffix: str = "") -> Array:
        """The elements as terms of the field's shape."""
        out = np.empty(self.shape, dtype=object)
        names = (name + suffix for name in self.names(prefix))
        for index, name in zip(np.ndindex(*self.shape), names, strict=True):
            out[index] = Term(name, dtype)
        return out


@dataclass(frozen=True)
class Printed:
    """A kernel's source and the scratch arrays that each of its threads needs.

    Args:
        scratch: number of elements of each.
    """

    text: str
    scratch: tuple[int, ...]


class Source:
    """Lines of a kernel under construction, and the fields its step works on."""

    def __init__(self, graphs: StepGraphs) -> None:
        slots = graphs.slots
        self.graphs = graphs
        self.dtype = slots.dtype
        self.lines: list[str] = []
        self.rows: dict[str, int] = {}
        self.inputs = _fields("x", slots.inputs)
        self.state = _fields("s", slots.state)
        self.coefficients = _fields("c", slots.coefficients)
        self.outputs = _fields("y", graphs.outputs)
        self.shared = [c for c, one in zip(self.coefficients, slots.shared, strict=True) if one]
        self.spread = [c for c in self.coefficients if c not in self.shared]

    @property
    def planes(self) -> list[str]:
        """The elements of the state by name, one checkpoint plane each."""
        return [name for f in self.state for name in f.names()]

    def add(self, depth: int, *lines: str) -> None:
        self.lines += ["    " * depth + line for line in lines]

    def row(self, name: str) -> str:
        """The cell of lane ``l`` in the row called ``name`` of the work array."""
        index = self.rows.setdefault(name, len(self.rows))
        return f"work[{index * LANES} + l]"

    def function(self, name: str, arguments: Sequence[tuple[str, str]], states: int = 0) -> Printed:
        """The whole source: imports, signature, the loop over tiles and the lines so far."""
        own = [("work", "[::1]"), *([("states", "[::1]")] if states else [])]
        kinds = ", ".join(
            ["i8"] * 4 + [_NUMBA[self.dtype] + kind for _, kind in [*own, *arguments]]
        )
        names = ", ".join(["tile0", "tile1", "steps", "lanes", *(n for n, _ in [*own, *arguments])])
        shared = [f"    {c.name}_{k} = {c.name}[0, {k}]" for c in self.shared for k in c.cells()]
        frame = [
            "    for tile in range(tile0, tile1):",
            f"        m0 = tile * {LANES}",
            f"        width = min({LANES}, lanes - m0)",
        ]
        decorator = (
            f'@numba.njit("void({kinds})", nogil=True, cache=True, error_model="numpy", '
            "boundscheck=False, pipeline_class=NoAlias)"
        )
        body = "\n".join([f"def {name}({names}):", *shared, *frame, *self.lines])
        work = len(self.rows) * LANES
        return Printed(f"{HEADER}\n\n{decorator}\n{body}\n", (work, states) if states else (work,))

    def spread_coefficients(self) -> None:
        """Lay the coefficients that neurons do not share over the lanes of a tile, once."""
        for c in self.spread:
            self.add(2, f"period = {c.name}.shape[0]", "for l in range(width):")
            for k, name in enumerate(c.names()):
                self.add(3, f"{self.row(name)} = {c.name}[(m0 + l) % period, {k}]")

    def edge(self, fields: Sequence[Field], template: str, prefix: str = "") -> None:
        """Copy rows from or to arrays of one time step, at the start or the end of a tile."""
        if not fields:
            return
        self.add(2, "for l in range(width):")
        for f in fields:
            for k, name in enumerate(f.names(prefix)):
                cell = f"{f.name}[(m0 + l) * {f.width} + {k}]"
                self.add(3, template.format(row=self.row(name), cell=cell))

    def slices(self, depth: int, fields: Sequence[Field], prefix: str, count: int) -> None:
        """The rows of ``count`` steps from ``t`` on, of each sequence."""
        for f in fields:
            for u in range(count):
                rows = f"{prefix}{f.name}[t + {u}, m0 * {f.width}:(m0 + width) * {f.width}]"
                self.add(depth, f"{prefix}{f.name}r{u} = {rows}")

    def load(self, depth: int, fields: Sequence[Field], prefix: str, u: int) -> list[Array]:
        """Names for the values of step ``t + u``, loaded from the rows that `slices` made."""
        for f in fields:
            for k, name in enumerate(f.names(prefix)):
                self.add(depth, f"{name}_{u} = {prefix}{f.name}r{u}[l * {f.width} + {k}]")
        return [f.terms(self.dtype, prefix, f"_{u}") for f in fields]

    def load_rows(self, depth: int, fields: Sequence[Field], prefix: str = "") -> list[Array]:
        for f in fields:
            self.add(depth, *(f"{name} = {self.row(name)}" for name in f.names(prefix)))
        return [f.terms(self.dtype, prefix) for f in fields]

    def coefficient_terms(self, depth: int) -> list[Array]:
        self.load_rows(depth, self.spread)
        return [c.terms(self.dtype) for c in self.coefficients]

    def store(self, depth: int, f: Field, values: Array, prefix: str, u: int) -> None:
        for k, term in enumerate(values.flat):
            cell = f"{prefix}{f.name}r{u}[l * {f.width} + {k}]"
            self.add(depth, f"{cell} = {as_type(term, self.dtype)}")

    def store_rows(
        self, depth: int, fields: Sequence[Field], values: Sequence[Array], prefix: str = ""
    ) -> None:
        for f, value in zip(fields, values, strict=True):
            for name, term in zip(f.names(prefix), value.flat, strict=True):
                self.add(depth, f"{self.row(name)} = {as_type(term, self.dtype)}")

    def keep_state(self, depth: int) -> None:
        """At the start of a segment, keep the state before its first step."""
        self.add(depth, f"if t % {SEGMENT} == 0:")
        for plane, name in enumerate(self.planes):
            self.add(depth + 1, f"kept = saved[t // {SEGMENT}, {plane}, m0:m0 + width]")
            self.add(depth + 1, "for l in range(width):", f"    kept[l] = {self.row(name)}")


def forward_source(graphs: StepGraphs, save: bool) -> Printed:
    """The forward kernel; with ``save`` it keeps the state at every `SEGMENT`-th step."""
    s = Source(graphs)
    s.spread_coefficients()
    s.edge(s.state, "{row} = {cell}")
    for count, span in _ascending("0", "steps"):
        s.add(2, f"for t in range({span}):")
        if save:
            s.keep_state(3)
        _forward_steps(s, count)
    s.edge(s.state, "last_{cell} = {row}")
    arguments = [
        *_arrays(s.inputs, "[:,::1]"),
        *_arrays(s.state, "[::1]"),
        *_arrays(s.coefficients, "[:,::1]"),
        *_arrays(s.outputs, "[:,::1]"),
        *_arrays(s.state, "[::1]", "last_"),
        *([("saved", "[:,:,::1]")] if save else []),
    ]
    return s.function("forward", arguments)


def backward_source(graphs: StepGraphs, needs: Needs) -> Printed:
    """The backward kernel: states of a segment once more, then the segment in reverse."""
    s = Source(graphs)
    inputs = [f for f, wants in zip(s.inputs, needs.inputs, strict=True) if wants]
    summed = [f for f, wants in zip(s.coefficients, needs.coefficients, strict=True) if wants]
    s.spread_coefficients()
    s.edge(s.state, "{row} = g_{cell}", "g_")
    sums = [name for f in summed for name in f.names("g_")]
    if sums:
        s.add(2, "for l in range(width):", *(f"    {s.row(name)} = 0" for name in sums))
    s.add(2, f"for segment in range((steps - 1) // {SEGMENT}, -1, -1):")
    s.add(3, f"first = segment * {SEGMENT}", f"last = min(first + {SEGMENT}, steps)")
    _recompute_segment(s)
    for count, span in _descending():
        s.add(3, f"for t in range({span}):")
        _backward_steps(s, count, inputs, summed)
    s.edge(s.state, "first_{cell} = {row}", "g_")
    if sums:
        s.add(2, "for l in range(width):")
        s.add(3, *(f"sums[{i}, m0 + l] = {s.row(name)}" for i, name in enumerate(sums)))
    arguments = [
        *_arrays(s.inputs, "[:,::1]"),
        *_arrays(s.coefficients, "[:,::1]"),
        ("saved", "[:,:,::1]"),
        *_arrays(s.outputs, "[:,::1]", "g_"),
        *_arrays(s.state, "[::1]", "g_"),
        *_arrays(inputs, "[:,::1]", "d_"),
        *_arrays(s.state, "[::1]", "first_"),
        *([("sums", "[:,::1]")] if sums else []),
    ]
    return s.function("backward", arguments, states=SEGMENT * len(s.planes) * LANES)


def _ascending(first: str, last: str) -> list[tuple[int, str]]:
    """Spans of ``t``: blocks of `UNROLLED` steps, then the single ones that are left."""
    whole = f"{last} - ({last} - {first}) % {UNROLLED}"
    return [(UNROLLED, f"{first}, {whole}, {UNROLLED}"), (1, f"{whole}, {last}")]


def _descending() -> list[tuple[int, str]]:
    """The spans of a segment from its end to its start."""
    whole = f"last - (last - first) % {UNROLLED}"
    return [
        (1, f"last - 1, {whole} - 1, -1"),
        (UNROLLED, f"{whole} - {UNROLLED}, first - 1, -{UNROLLED}"),
    ]


def _forward_steps(s: Source, count: int) -> None:
    s.slices(3, s.inputs, "", count)
    s.slices(3, s.outputs, "", count)
    s.add(3, "for l in range(width):")
    state, coefficients = s.load_rows(4, s.state), s.coefficient_terms(4)
    interpreter = Interpreter(print_operation, prefix=f"f{count}_")
    for u in range(count):
        arguments = s.load(4, s.inputs, "", u) + state + coefficients
        results = interpreter.run(s.graphs.forward, s.graphs.constants, arguments)
        s.add(4, *interpreter.take())
        for f, values in zip(s.outputs, results, strict=False):
            s.store(4, f, values, "", u)
        state = results[len(s.outputs) :]
    s.store_rows(4, s.state, state)


def _recompute_segment(s: Source) -> None:
    """Fill ``states`` with the state before each step of a segment."""
    if not s.state:
        return
    s.add(3, "for l in range(width):")
    for plane, name in enumerate(s.planes):
        s.add(4, f"{s.row(name)} = saved[segment, {plane}, m0 + l]")
    for count, span in _ascending("first", "last"):
        s.add(3, f"for t in range({span}):")
        _recompute_steps(s, count)


def _recompute_steps(s: Source, count: int) -> None:
    assert s.graphs.advance is not None
    s.slices(4, s.inputs, "", count)
    _slice_states(s, count)
    s.add(4, "for l in range(width):")
    state, coefficients = s.load_rows(5, s.state), s.coefficient_terms(5)
    interpreter = Interpreter(print_operation, prefix=f"a{count}_")
    for u in range(count):
        for plane, term in enumerate(term for values in state for term in values.flat):
            s.add(5, f"states{u}[{plane * LANES} + l] = {as_type(term, s.dtype)}")
        arguments = s.load(5, s.inputs, "", u) + state + coefficients
        state = interpreter.run(s.graphs.advance, s.graphs.constants, arguments)
        s.add(5, *interpreter.take())
    s.store_rows(5, s.state, state)


def _backward_steps(s: Source, count: int, inputs: list[Field], summed: list[Field]) -> None:
    """Some steps in reverse; the gradient of the state is carried along."""
    assert s.graphs.backward is not None
    assert s.graphs.backward_constants is not None
    s.slices(4, s.inputs, "", count)
    s.slices(4, s.outputs, "g_", count)
    s.slices(4, inputs, "d_", count)
    _slice_states(s, count)
    s.add(4, "for l in range(width):")
    coefficients, carried = s.coefficient_terms(5), s.load_rows(5, s.state, "g_")
    totals = s.load_rows(5, summed, "g_")
    interpreter = Interpreter(print_operation, prefix=f"b{count}_")
    for u in reversed(range(count)):
        state = [f.terms(s.dtype, "", f"_{u}") for f in s.state]
        for plane, name in enumerate(s.planes):
            s.add(5, f"{name}_{u} = states{u}[{plane * LANES} + l]")
        values = s.load(5, s.inputs, "", u) + state + coefficients
        seeds = s.load(5, s.outputs, "g_", u) + carried
        results = interpreter.run(s.graphs.backward, s.graphs.backward_constants, values + seeds)
        cut = (len(inputs), len(inputs) + len(s.state))
        carried = results[cut[0] : cut[1]]
        totals = [
            interpreter.add(total, part)
            for total, part in zip(totals, results[cut[1] :], strict=True)
        ]
        s.add(5, *interpreter.take())
        for f, gradient in zip(inputs, results[: cut[0]], strict=True):
            s.store(5, f, gradient, "d_", u)
    s.store_rows(5, s.state, carried, "g_")
    s.store_rows(5, summed, totals, "g_")


def _slice_states(s: Source, count: int) -> None:
    size = len(s.planes) * LANES
    for u in range(count):
        s.add(4, f"base = (t + {u} - first) * {size}", f"states{u} = states[base:base + {size}]")


def _fields(letter: str, shapes: Sequence[tuple[int, ...]]) -> list[Field]:
    return [Field(f"{letter}{i}", shape) for i, shape in enumerate(shapes)]


def _arrays(fields: Sequence[Field], kind: str, prefix: str = "") -> list[tuple[str, str]]:
    return [(prefix + f.name, kind) for f in fields]
