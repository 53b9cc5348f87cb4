"""The source of a fused CPU kernel: a printed step inside a loop over time.

The neurons of all samples lie side by side as ``lanes = batch * neurons``. A kernel takes tiles
of `LANES` lanes; a tile runs through the whole sequence while its state and coefficients stay in
the nearest cache, in one array ``work`` with a row for each of them (one array, so that the
compiler sees that rows do not overlap, and vectorises over lanes).

Steps are taken `UNROLLED` at a time: their states pass from one to the next in registers, and
several rows of the sequence are on their way from memory at once.

Bytes that must move, in passes over a (time, lanes) array: forward reads the input and writes the
output, and keeps the state before every block of `UNROLLED` steps. Backward reads that state, input
and output gradient, and writes the input gradient: for each block it takes the steps again and then
in reverse, all in registers. Coefficient gradients are summed over time for each lane, and over the
batch afterwards in a fixed order, so that the number of threads cannot change a bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from spikewright.engine.cpu.numba_ops import HEADER, as_type, print_operation
from spikewright.engine.tracing.fields import Field, StepFields
from spikewright.engine.tracing.symbolic import Array, Interpreter
from spikewright.engine.tracing.trace import Needs, Reach, StepGraphs

LANES = 512
UNROLLED = 4
_NUMBA = {torch.float32: "f4", torch.float64: "f8"}
_BITS, _FLAGS = "u8[:,::1]", "u8[::1]"


@dataclass(frozen=True)
class Printed:
    """A kernel's source and the scratch array that each of its threads needs.

    Args:
        scratch: number of elements.
    """

    text: str
    scratch: int


class Source(StepFields):
    """Lines of a kernel under construction, and the fields its step works on."""

    def __init__(self, graphs: StepGraphs) -> None:
        super().__init__(graphs)
        self.lines: list[str] = []
        self.rows: dict[str, int] = {}

    def kind(self, array: str) -> str:
        """The Numba type of an array argument: of the step's dtype unless it has one."""
        return array if array in (_BITS, _FLAGS) else _NUMBA[self.dtype] + array

    def add(self, depth: int, *lines: str) -> None:
        self.lines += ["    " * depth + line for line in lines]

    def row(self, name: str) -> str:
        """The cell of lane ``l`` in the row called ``name`` of the work array."""
        index = self.rows.setdefault(name, len(self.rows))
        return f"work[{index * LANES} + l]"

    def function(self, name: str, arguments: Sequence[tuple[str, str]]) -> Printed:
        """The whole source: imports, signature, the loop over tiles and the lines so far."""
        counts = [(n, "i8") for n in ("tile0", "tile1", "steps", "lanes")]
        arrays = [(n, self.kind(kind)) for n, kind in (("work", "[::1]"), *arguments)]
        frame = [
            f"    blocks = steps // {UNROLLED}",
            "    for tile in range(tile0, tile1):",
            f"        m0 = tile * {LANES}",
            f"        width = min({LANES}, lanes - m0)",
        ]
        text = compose(name, [*counts, *arrays], [*self.shared_values(), *frame, *self.lines])
        return Printed(text, len(self.rows) * LANES)

    def shared_values(self) -> list[str]:
        """Lines that read the coefficients which all neurons share."""
        return [f"    {c.name}_{k} = {c.name}[0, {k}]" for c in self.shared for k in c.cells()]

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

    def slice_kept(self, depth: int) -> None:
        """The planes of state that ``row`` keeps, one for each element."""
        for plane in range(len(self.planes)):
            self.add(depth, f"kept{plane} = saved[row, {plane}, m0:m0 + width]")

    def keep_state(self, depth: int) -> None:
        """Keep the state before the steps of a block."""
        for plane, name in enumerate(self.planes):
            self.add(depth, f"kept{plane}[l] = {name}")

    def kept_state(self, depth: int) -> list[Array]:
        """The state that `keep_state` kept."""
        for plane, name in enumerate(self.planes):
            self.add(depth, f"{name} = kept{plane}[l]")
        return [f.terms(self.dtype) for f in self.state]


def compose(
    name: str, arguments: Sequence[tuple[str, str]], body: Sequence[str], imports: str = ""
) -> str:
    """The source of a kernel: imports, signature and body.

    Args:
        arguments: name and Numba type of each.
    """
    kinds = ", ".join(kind for _, kind in arguments)
    decorator = (
        f'@numba.njit("void({kinds})", nogil=True, cache=True, error_model="numpy", '
        "boundscheck=False, pipeline_class=NoAlias)"
    )
    head = f"def {name}({', '.join(argument for argument, _ in arguments)}):"
    return "\n".join([f"{HEADER}{imports}\n", decorator, head, *body]) + "\n"


def kept_rows(steps: int) -> int:
    """How many states a forward pass keeps: one a block, and one for each step after the last."""
    return steps // UNROLLED + steps % UNROLLED


def forward_source(
    graphs: StepGraphs, save: bool, mark: bool = False, reach: Reach | None = None
) -> Printed:
    """The forward kernel.

    Args:
        save: whether it keeps the state before every block of steps.
        mark: whether it also sets a bit for each spike of the first output (see
            `spikewright.engine.sources.events`), while the row is in the cache.
        reach: where a gradient of that output is of use; sets a bit for each such place.
    """
    s = Source(graphs)
    s.spread_coefficients()
    s.edge(s.state, "{row} = {cell}")
    for count in (UNROLLED, 1):
        first, last, step = _RANGES[count]
        s.add(2, f"for row in range({first}, {last}):", f"    t = {step}")
        _forward_steps(s, count, save, reach)
        if mark:
            _mark_steps(s, count, f"{s.outputs[0].name}r{{u}}", "bits")
        if reach:
            _mark_steps(s, count, "reached{u}", "active")
    s.edge(s.state, "last_{cell} = {row}")
    arguments = [
        *_arrays(s.inputs, "[:,::1]"),
        *_arrays(s.state, "[::1]"),
        *_arrays(s.coefficients, "[:,::1]"),
        *_arrays(s.outputs, "[:,::1]"),
        *_arrays(s.state, "[::1]", "last_"),
        *([("saved", "[:,:,::1]")] if save else []),
        *([("bits", _BITS), ("graded", _FLAGS)] if mark else []),
        *([("active", _BITS)] if reach else []),
    ]
    return s.function("forward", arguments)


def backward_source(graphs: StepGraphs, needs: Needs) -> Printed:
    """The backward kernel: the steps of a block once more, then in reverse."""
    s = Source(graphs)
    inputs, summed = s.wanted(needs)
    s.spread_coefficients()
    s.edge(s.state, "{row} = g_{cell}", "g_")
    sums = [name for f in summed for name in f.names("g_")]
    if sums:
        s.add(2, "for l in range(width):", *(f"    {s.row(name)} = 0" for name in sums))
    for count in (1, UNROLLED):
        first, last, step = _RANGES[count]
        s.add(2, f"for row in range({last} - 1, {first} - 1, -1):", f"    t = {step}")
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
    return s.function("backward", arguments)


# For blocks and for single steps: the rows that keep the states before them, from and to, and the
# (first) step that belongs to a row.
_RANGES = {
    UNROLLED: ("0", "blocks", f"row * {UNROLLED}"),
    1: ("blocks", f"blocks + steps % {UNROLLED}", f"row + blocks * {UNROLLED - 1}"),
}


def _forward_steps(s: Source, count: int, save: bool, reach: Reach | None) -> None:
    s.slices(3, s.inputs, "", count)
    s.slices(3, s.outputs, "", count)
    if save:
        s.slice_kept(3)
    s.add(3, "for l in range(width):")
    state, coefficients = s.load_rows(4, s.state), s.coefficient_terms(4)
    if save:
        s.keep_state(4)
    interpreter = Interpreter(print_operation, prefix=f"f{count}_")
    for u in range(count):
        arguments = s.load(4, s.inputs, "", u) + state + coefficients
        results = interpreter.run(s.graphs.forward, s.graphs.constants, arguments)
        s.add(4, *interpreter.take())
        for f, values in zip(s.outputs, results, strict=False):
            s.store(4, f, values, "", u)
        if reach:
            (reached,) = interpreter.run(reach.graph, reach.constants, arguments)
            s.add(4, *interpreter.take())
            s.add(4, f"{s.row(f'reached{u}')} = {as_type(reached.item(), s.dtype)}")
        state = results[len(s.outputs) :]
    s.store_rows(4, s.state, state)


def _mark_steps(s: Source, count: int, row: str, bits: str) -> None:
    """Set the bits of some rows, 64 at a time; ``row`` names that of step ``t + u``."""
    for u in range(count):
        name = row.format(u=u)
        if name in s.rows:
            start = s.rows[name] * LANES
            s.add(3, f"{name} = work[{start}:{start + LANES}]")
        s.add(3, f"other = mark_row({name}, width, {bits}[t + {u}], m0 // 64)")
        if bits == "bits":
            s.add(3, "graded[tile] |= other")


def _backward_steps(s: Source, count: int, inputs: list[Field], summed: list[Field]) -> None:
    """Some steps in reverse; the gradient of the state is carried along."""
    assert s.graphs.backward is not None
    assert s.graphs.backward_constants is not None
    s.slices(3, s.inputs, "", count)
    s.slices(3, s.outputs, "g_", count)
    s.slices(3, inputs, "d_", count)
    s.slice_kept(3)
    s.add(3, "for l in range(width):")
    coefficients = s.coefficient_terms(4)
    values = _retake_steps(s, count, coefficients)
    carried, totals = s.load_rows(4, s.state, "g_"), s.load_rows(4, summed, "g_")
    interpreter = Interpreter(print_operation, prefix=f"b{count}_")
    cut = (len(inputs), len(inputs) + len(s.state))
    for u in reversed(range(count)):
        seeds = s.load(4, s.outputs, "g_", u) + carried
        results = interpreter.run(s.graphs.backward, s.graphs.backward_constants, values[u] + seeds)
        carried = results[cut[0] : cut[1]]
        parts = results[cut[1] :]
        totals = [interpreter.add(*pair) for pair in zip(totals, parts, strict=True)]
        s.add(4, *interpreter.take())
        for f, gradient in zip(inputs, results[: cut[0]], strict=True):
            s.store(4, f, gradient, "d_", u)
    s.store_rows(4, s.state, carried, "g_")
    s.store_rows(4, summed, totals, "g_")


def _retake_steps(s: Source, count: int, coefficients: list[Array]) -> list[list[Array]]:
    """The arguments of each step of a block, from the state before the first.

    What the gradient needs of the forward step is printed again with it; the compiler sees that
    both are the same and computes them once.
    """
    interpreter = Interpreter(print_operation, prefix=f"a{count}_")
    state = s.kept_state(4)
    arguments: list[list[Array]] = []
    for u in range(count):
        arguments.append(s.load(4, s.inputs, "", u) + state + coefficients)
        if u + 1 < count and s.graphs.advance is not None:
            state = interpreter.run(s.graphs.advance, s.graphs.constants, arguments[-1])
            s.add(4, *interpreter.take())
    return arguments


def _arrays(fields: Sequence[Field], kind: str, prefix: str = "") -> list[tuple[str, str]]:
    return [(prefix + f.name, kind) for f in fields]
