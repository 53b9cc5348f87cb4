"""The source of a fused CPU kernel: a printed step inside a loop over time.

The neurons of all samples lie side by side as ``lanes = batch * neurons``. A kernel takes tiles
of `LANES` lanes; a tile runs through the whole sequence while its state and coefficients stay in
the nearest cache, in one array ``work`` with a row for each of them (one array, so that the
compiler sees that rows do not overlap, and vectorises over lanes).

Bytes that must move, in passes over a (time, lanes) array: forward reads the input and writes the
output. Nothing else is kept but the state at every `SEGMENT`-th step. Backward reads input and
output gradient, computes the states of one segment again inside the cache, and writes the
input gradient. Coefficient gradients are summed over time for each lane, and over the batch
afterwards in a fixed order, so that the number of threads cannot change a bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from spikewright.engine.numba_ops import HEADER, TYPES, as_type, print_operation
from spikewright.engine.symbolic import Array, Interpreter, Term
from spikewright.engine.trace import Needs, StepGraphs

LANES = 512
SEGMENT = 16
_NUMBA = {torch.float32: "f4", torch.float64: "f8"}


@dataclass(frozen=True)
class Field:
    """One array argument: its name and the sizes of its trailing axis, unrolled."""

    name: str
    shape: tuple[int, ...]

    @property
    def width(self) -> int:
        return int(np.prod(self.shape, dtype=int))

    def terms(self, dtype: torch.dtype) -> Array:
        """A name for each element, loaded before the step's own lines."""
        out = np.empty(self.shape, dtype=object)
        for k, index in enumerate(product(*map(range, self.shape))):
            out[index] = Term(f"{self.name}_{k}", dtype)
        return out


class Source:
    """Lines of a function under construction."""

    def __init__(self, graphs: StepGraphs) -> None:
        slots = graphs.slots
        self.dtype = slots.dtype
        self.lines: list[str] = []
        self.rows: dict[str, int] = {}
        self.inputs = _fields("x", slots.inputs)
        self.state = _fields("s", slots.state)
        self.coefficients = _fields("c", slots.coefficients)
        self.outputs = _fields("y", graphs.outputs)

    def add(self, depth: int, *lines: str) -> None:
        self.lines += ["    " * depth + line for line in lines]

    def row(self, name: str) -> str:
        """Start of the row called ``name`` in the work array."""
        index = self.rows.setdefault(name, len(self.rows))
        return f"{index * LANES} + l"

    def function(self, name: str, arguments: Sequence[tuple[str, str]]) -> str:
        kinds = ", ".join(["i8"] * 4 + [kind for _, kind in arguments])
        names = ", ".join(["tile0", "tile1", "steps", "lanes", *(n for n, _ in arguments)])
        work = [
            f"    work = np.empty({max(1, len(self.rows)) * LANES}, {TYPES[self.dtype]})",
            "    for tile in range(tile0, tile1):",
            f"        m0 = tile * {LANES}",
            f"        width = min({LANES}, lanes - m0)",
        ]
        decorator = (
            f'@numba.njit("void({kinds})", nogil=True, cache=True, error_model="numpy", '
            "boundscheck=False)"
        )
        body = "\n".join([f"def {name}({names}):", *work, *self.lines])
        return f"{HEADER}\n\n{decorator}\n{body}\n"

    def copy_coefficients(self) -> None:
        """Spread the coefficients of a tile over its lanes, once."""
        for c in self.coefficients:
            self.add(2, f"period = {c.name}.shape[0]", "for l in range(width):")
            for k in range(c.width):
                self.add(
                    3, f"work[{self.row(f'{c.name}_{k}')}] = {c.name}[(m0 + l) % period, {k}]"
                )

    def slices(self, depth: int, fields: Sequence[Field], prefix: str = "") -> None:
        for f in fields:
            name = prefix + f.name
            lo, hi = (f"m0 * {f.width}", f"(m0 + width) * {f.width}")
            self.add(depth, f"{name}r = {name}[t, {lo}:{hi}]")

    def load(self, depth: int, fields: Sequence[Field], prefix: str = "") -> None:
        for f in fields:
            for k in range(f.width):
                self.add(depth, f"{prefix}{f.name}_{k} = {prefix}{f.name}r[l * {f.width} + {k}]")

    def load_rows(self, depth: int, fields: Sequence[Field], prefix: str = "") -> None:
        for f in fields:
            for k in range(f.width):
                name = f"{prefix}{f.name}_{k}"
                self.add(depth, f"{name} = work[{self.row(name)}]")

    def store(self, depth: int, f: Field, values: Array, prefix: str = "") -> None:
        for k, term in enumerate(values.flat):
            text = as_type(term, self.dtype)
            self.add(depth, f"{prefix}{f.name}r[l * {f.width} + {k}] = {text}")

    def store_rows(self, depth: int, f: Field, values: Array, prefix: str = "") -> None:
        for k, term in enumerate(values.flat):
            target = f"work[{self.row(f'{prefix}{f.name}_{k}')}]"
            self.add(depth, f"{target} = {as_type(term, self.dtype)}")

    def edge(self, fields: Sequence[Field], template: str, prefix: str = "") -> None:
        """Copy rows from or to arrays of one time step, at the start or the end of a tile."""
        if not fields:
            return
        self.add(2, "for l in range(width):")
        for f in fields:
            for k in range(f.width):
                row = f"work[{self.row(f'{prefix}{f.name}_{k}')}]"
                cell = f"[(m0 + l) * {f.width} + {k}]"
                self.add(3, template.format(row=row, name=f.name, cell=cell))

    def planes(self) -> list[str]:
        """The elements of the state, one checkpoint plane each."""
        return [f"{f.name}_{k}" for f in self.state for k in range(f.width)]

    def terms(self, fields: Sequence[Field]) -> list[Array]:
        return [f.terms(self.dtype) for f in fields]

    def arrays(self, fields: Sequence[Field], kind: str, prefix: str = "") -> list[tuple[str, str]]:
        return [(prefix + f.name, _NUMBA[self.dtype] + kind) for f in fields]


def forward_source(graphs: StepGraphs, save: bool) -> str:
    """The forward kernel; with ``save`` it keeps the state at every `SEGMENT`-th step."""
    s = Source(graphs)
    s.copy_coefficients()
    s.edge(s.state, "{row} = {name}{cell}")
    s.add(2, "for t in range(steps):")
    if save:
        s.add(3, f"if t % {SEGMENT} == 0:")
        for plane, name in enumerate(s.planes()):
            s.add(4, f"kept = saved[t // {SEGMENT}, {plane}, m0:m0 + width]")
            s.add(4, "for l in range(width):", f"    kept[l] = work[{s.row(name)}]")
    s.slices(3, s.inputs)
    s.slices(3, s.outputs)
    s.add(3, "for l in range(width):")
    s.load(4, s.inputs)
    s.load_rows(4, s.state)
    s.load_rows(4, s.coefficients)
    interpreter = Interpreter(print_operation)
    arguments = s.terms(s.inputs) + s.terms(s.state) + s.terms(s.coefficients)
    results = interpreter.run(graphs.forward, graphs.constants, arguments)
    s.add(4, *interpreter.lines)
    for f, values in zip(s.outputs, results, strict=False):
        s.store(4, f, values)
    for f, values in zip(s.state, results[len(s.outputs) :], strict=True):
        s.store_rows(4, f, values)
    s.edge(s.state, "last_{name}{cell} = {row}")
    arguments_ = [
        *s.arrays(s.inputs, "[:,::1]"),
        *s.arrays(s.state, "[::1]"),
        *s.arrays(s.coefficients, "[:,::1]"),
        *s.arrays(s.outputs, "[:,::1]"),
        *s.arrays(s.state, "[::1]", "last_"),
    ]
    if save:
        arguments_.append(("saved", f"{_NUMBA[s.dtype]}[:,:,::1]"))
    return s.function("forward", arguments_)


def backward_source(graphs: StepGraphs, needs: Needs) -> str:
    """The backward kernel: states of a segment once more, then the segment in reverse."""
    s = Source(graphs)
    wanted_inputs = [f for f, wants in zip(s.inputs, needs.inputs, strict=True) if wants]
    wanted = [f for f, wants in zip(s.coefficients, needs.coefficients, strict=True) if wants]
    s.add(2, f"states = np.empty({SEGMENT * len(s.planes()) * LANES}, {TYPES[s.dtype]})")
    s.copy_coefficients()
    s.edge(s.state, "{row} = g_{name}{cell}", "g_")
    if wanted:
        s.add(2, "for l in range(width):")
        for f in wanted:
            s.add(3, *(f"work[{s.row(f'g_{f.name}_{k}')}] = 0" for k in range(f.width)))
    s.add(2, f"for segment in range((steps - 1) // {SEGMENT}, -1, -1):")
    s.add(3, f"first = segment * {SEGMENT}", f"last = min(first + {SEGMENT}, steps)")
    _recompute(s, graphs)
    _reverse(s, graphs, wanted_inputs, wanted)
    s.edge(s.state, "first_{name}{cell} = {row}", "g_")
    if wanted:
        s.add(2, "for l in range(width):")
        index = 0
        for f in wanted:
            for k in range(f.width):
                s.add(3, f"sums[{index}, m0 + l] = work[{s.row(f'g_{f.name}_{k}')}]")
                index += 1
    arguments = [
        *s.arrays(s.inputs, "[:,::1]"),
        *s.arrays(s.coefficients, "[:,::1]"),
        ("saved", f"{_NUMBA[s.dtype]}[:,:,::1]"),
        *s.arrays(s.outputs, "[:,::1]", "g_"),
        *s.arrays(s.state, "[::1]", "g_"),
        *s.arrays(wanted_inputs, "[:,::1]", "g_"),
        *s.arrays(s.state, "[::1]", "first_"),
    ]
    if wanted:
        arguments.append(("sums", f"{_NUMBA[s.dtype]}[:,::1]"))
    return s.function("backward", arguments)


def _recompute(s: Source, graphs: StepGraphs) -> None:
    """Fill ``states`` with the state before each step of a segment."""
    if not s.state:
        return
    s.add(3, "for l in range(width):")
    for plane, name in enumerate(s.planes()):
        s.add(4, f"work[{s.row(name)}] = saved[segment, {plane}, m0 + l]")
    s.add(3, "for t in range(first, last):")
    s.slices(4, s.inputs)
    s.add(4, f"base = (t - first) * {len(s.planes()) * LANES}")
    s.add(4, f"kept = states[base:base + {len(s.planes()) * LANES}]")
    s.add(4, "for l in range(width):")
    s.load(5, s.inputs)
    s.load_rows(5, s.state)
    s.load_rows(5, s.coefficients)
    interpreter = Interpreter(print_operation, prefix="a")
    arguments = s.terms(s.inputs) + s.terms(s.state) + s.terms(s.coefficients)
    assert graphs.advance is not None
    results = interpreter.run(graphs.advance, graphs.constants, arguments)
    s.add(5, *interpreter.lines)
    for plane, name in enumerate(s.planes()):
        s.add(5, f"kept[{plane * LANES} + l] = {name}")
    for f, values in zip(s.state, results, strict=True):
        s.store_rows(5, f, values)


def _reverse(
    s: Source, graphs: StepGraphs, wanted_inputs: list[Field], wanted: list[Field]
) -> None:
    """Walk a segment backwards and carry the gradient of the state along."""
    s.add(3, "for t in range(last - 1, first - 1, -1):")
    s.slices(4, s.inputs)
    s.slices(4, s.outputs, "g_")
    for f in wanted_inputs:
        lo, hi = f"m0 * {f.width}", f"(m0 + width) * {f.width}"
        s.add(4, f"d_{f.name}r = g_{f.name}[t, {lo}:{hi}]")
    s.add(4, f"base = (t - first) * {len(s.planes()) * LANES}")
    s.add(4, f"kept = states[base:base + {len(s.planes()) * LANES}]")
    s.add(4, "for l in range(width):")
    s.load(5, s.inputs)
    for plane, name in enumerate(s.planes()):
        s.add(5, f"{name} = kept[{plane * LANES} + l]")
    s.load_rows(5, s.coefficients)
    s.load(5, s.outputs, "g_")
    s.load_rows(5, s.state, "g_")
    interpreter = Interpreter(print_operation, prefix="b")
    gradients = [Field(f"g_{f.name}", f.shape) for f in s.outputs + s.state]
    arguments = s.terms(s.inputs) + s.terms(s.state) + s.terms(s.coefficients)
    assert graphs.backward is not None and graphs.backward_constants is not None
    results = iter(
        interpreter.run(
            graphs.backward, graphs.backward_constants, arguments + s.terms(gradients)
        )
    )
    s.add(5, *interpreter.lines)
    for f in wanted_inputs:
        s.store(5, f, next(results), "d_")
    for f in s.state:
        s.store_rows(5, f, next(results), "g_")
    for f in wanted:
        for k, term in enumerate(next(results).flat):
            target = f"work[{s.row(f'g_{f.name}_{k}')}]"
            s.add(5, f"{target} += {as_type(term, s.dtype)}")


def _fields(letter: str, shapes: Sequence[tuple[int, ...]]) -> list[Field]:
    return [Field(f"{letter}{i}", shape) for i, shape in enumerate(shapes)]
