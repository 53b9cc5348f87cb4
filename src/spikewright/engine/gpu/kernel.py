"""The source of a fused GPU kernel: a printed step inside a loop over time, in Triton.

The neurons of all samples lie side by side as ``lanes = batch * neurons``, one lane a thread. A
thread runs through the whole sequence with its state and its coefficients in registers: time
is the only loop, and no thread waits for another.

Steps are taken `UNROLLED` at a time, because a loop that reads one number a step waits for the
memory at each of them: at a latency of half a microsecond and 3 TB/s some 2 MB must be on their
way at once, which is eight reads for each of 64,000 lanes.

What is kept for the backward pass and how it goes is as on the CPU (see
`spikewright.engine.cpu.kernel`): the state before every block of steps, and for each block the
steps again and then in reverse, all in registers. That moves the fewest bytes, which is what limits
a GPU here even more than a CPU. Coefficient gradients are summed over time for each lane; their
sums over the batch follow in a fixed order, so no atomic addition makes a result depend on chance.

Inputs, outputs and their gradients may be of half precision: they are converted when loaded and
rounded when stored. State, coefficients and all arithmetic are of the step's dtype. Offsets are
of 64 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

from spikewright.engine.gpu.triton_ops import TRITON, as_type, print_operation
from spikewright.engine.tracing.fields import Field, StepFields
from spikewright.engine.tracing.symbolic import Array, Interpreter
from spikewright.engine.tracing.trace import Needs, StepGraphs

UNROLLED = 8
_SIZES = ("steps", "lanes", "neurons")
Lines = Sequence[str]
_PROLOGUE = (
    "    lane = tl.program_id(0).to(tl.int64) * LANES + tl.arange(0, LANES)",
    "    inside = lane < lanes",
    "    neuron = lane % neurons",
    "    row_size = tl.cast(lanes, tl.int64)",
    f"    blocks = tl.cast(steps, tl.int64) // {UNROLLED}",
    f"    tail = tl.cast(steps, tl.int64) % {UNROLLED}",
)
# For blocks and for single steps: the loop over the rows that keep the states before them, and the
# (first) step that belongs to a row.
_STEP = {UNROLLED: f"    t = row * {UNROLLED}", 1: f"    t = row + blocks * {UNROLLED - 1}"}
_FORWARD = {
    UNROLLED: ("for row in range(0, blocks):",),
    1: ("for row in range(blocks, blocks + tail):",),
}
_BACKWARD = {
    UNROLLED: ("for back in range(0, blocks):", "    row = blocks - 1 - back"),
    1: ("for back in range(0, tail):", "    row = blocks + tail - 1 - back"),
}


def kept_rows(steps: int) -> int:
    """How many states a forward pass keeps: one a block, and one for each step after the last."""
    return steps // UNROLLED + steps % UNROLLED


class Source(StepFields):
    """Lines of a kernel under construction, and the fields its step works on."""

    def __init__(self, graphs: StepGraphs) -> None:
        super().__init__(graphs)
        self.kind = TRITON.types[self.dtype]["t"]
        self.lines: list[str] = []

    def add(self, depth: int, *lines: str) -> None:
        self.lines += ["    " * depth + line for line in lines]

    def function(
        self,
        name: str,
        arguments: Lines,
        sizes: Lines = _SIZES,
        prologue: Lines = _PROLOGUE,
        constants: Lines = ("LANES",),
    ) -> str:
        """The function with all lines so far; imports go before it.

        Args:
            sizes: arguments that are whole numbers.
            constants: arguments that a kernel is compiled for.
        """
        fixed = [f"{constant}: tl.constexpr" for constant in constants]
        head = f"def {name}({', '.join([*arguments, *sizes, *fixed])}):"
        decorator = f"@triton.jit(do_not_specialize={list(sizes)})"
        return "\n".join([decorator, head, *prologue, *self.lines]) + "\n"

    def load(self, depth: int, name: str, place: str) -> None:
        self.add(depth, f"{name} = tl.load({place}, inside, 0.0).to({self.kind})")

    def load_edge(self, fields: Sequence[Field], prefix: str = "") -> list[Array]:
        """Load arrays of one time step, before the loop over time."""
        for f in fields:
            for k, name in enumerate(f.names(prefix)):
                self.load(1, name, f"{prefix}{f.name} + {_offset('lane', f, k)}")
        return [f.terms(self.dtype, prefix) for f in fields]

    def store_edge(self, fields: Sequence[Field], prefix: str, array: str) -> None:
        """Store what the loop over time has carried to its end."""
        for f in fields:
            for k, name in enumerate(f.names(prefix)):
                place = f"{array}{f.name} + {_offset('lane', f, k)}"
                self.add(1, f"tl.store({place}, {name}, inside)")

    def load_coefficients(self, depth: int = 1) -> list[Array]:
        """Load the coefficients; one that all neurons share becomes a block like the others."""
        for c in self.shared:
            for k, name in enumerate(c.names()):
                value = f"tl.broadcast_to(tl.load({c.name} + {k}), [LANES])"
                self.add(depth, f"{name} = {value}")
        for c in self.spread:
            for k, name in enumerate(c.names()):
                self.load(depth, name, f"{c.name} + {_offset('neuron', c, k)}")
        return [c.terms(self.dtype) for c in self.coefficients]

    def load_step(self, fields: Sequence[Field], prefix: str, u: int) -> list[Array]:
        """Load the values of step ``t + u`` of each sequence."""
        return self.load_row(2, fields, prefix, f"(t + {u})", f"_{u}")

    def store_step(
        self, fields: Sequence[Field], values: Sequence[Array], prefix: str, u: int
    ) -> None:
        self.store_row(2, fields, values, prefix, f"(t + {u})")

    def load_row(
        self, depth: int, fields: Sequence[Field], prefix: str, row: str, suffix: str = ""
    ) -> list[Array]:
        """Load row ``row`` of each sequence."""
        for f in fields:
            for k, name in enumerate(f.names(prefix, suffix)):
                self.load(depth, name, _place(prefix + f.name, f, k, row))
        return [f.terms(self.dtype, prefix, suffix) for f in fields]

    def store_row(
        self, depth: int, fields: Sequence[Field], values: Sequence[Array], prefix: str, row: str
    ) -> None:
        for f, value in zip(fields, values, strict=True):
            for k, term in enumerate(value.flat):
                place = _place(prefix + f.name, f, k, row)
                self.add(depth, f"tl.store({place}, {as_type(term, self.dtype)}, inside)")

    def carry(self, fields: Sequence[Field], values: Sequence[Array], prefix: str = "") -> None:
        """Hand values to the next turn of the loop; two passes, for one may be another's old."""
        pairs = [
            (name, as_type(term, self.dtype))
            for f, value in zip(fields, values, strict=True)
            for name, term in zip(f.names(prefix), value.flat, strict=True)
        ]
        self.add(2, *(f"next_{name} = {text}" for name, text in pairs))
        self.add(2, *(f"{name} = next_{name}" for name, _ in pairs))

    def kept(self, plane: int) -> str:
        """Where the state before the steps of a row is kept."""
        return f"saved + (row * {len(self.planes)} + {plane}) * row_size + lane"


def sources(graphs: StepGraphs, needs: Needs | None) -> dict[str, str]:
    """The kernels ``forward`` and, if a gradient is needed, ``saving`` and ``backward``."""
    found = {"forward": _forward_source(graphs, save=False)}
    if needs is not None:
        found["saving"] = _forward_source(graphs, save=True)
        found["backward"] = _backward_source(graphs, needs)
    return found


def _forward_source(graphs: StepGraphs, save: bool) -> str:
    """The forward kernel.

    Args:
        save: whether it keeps the state before every block of steps.
    """
    s = Source(graphs)
    coefficients, state = s.load_coefficients(), s.load_edge(s.state)
    for count, loop in _FORWARD.items():
        s.add(1, *loop, _STEP[count])
        if save:
            for plane, name in enumerate(s.planes):
                s.add(2, f"tl.store({s.kept(plane)}, {name}, inside)")
        inputs = [s.load_step(s.inputs, "", u) for u in range(count)]
        interpreter = Interpreter(print_operation, prefix=f"f{count}_")
        now = state
        for u in range(count):
            arguments = [*inputs[u], *now, *coefficients]
            results = interpreter.run(graphs.forward, graphs.constants, arguments)
            s.add(2, *interpreter.take())
            s.store_step(s.outputs, results[: len(s.outputs)], "", u)
            now = results[len(s.outputs) :]
        s.carry(s.state, now)
    s.store_edge(s.state, "", "last_")
    arguments = [
        *names(s.inputs), *names(s.state), *names(s.coefficients), *names(s.outputs),
        *names(s.state, "last_"), *(["saved"] if save else []),
    ]  # fmt: skip
    return s.function("forward", arguments)


def _backward_source(graphs: StepGraphs, needs: Needs) -> str:
    """The backward kernel: the steps of a block once more, then in reverse."""
    s = Source(graphs)
    inputs, summed = s.wanted(needs)
    coefficients = s.load_coefficients()
    s.load_edge(s.state, "g_")
    sums = [name for f in summed for name in f.names("g_")]
    s.add(1, *(f"{name} = tl.full([LANES], 0, {s.kind})" for name in sums))
    for count, loop in reversed(_BACKWARD.items()):
        s.add(1, *loop, _STEP[count])
        _backward_steps(s, count, coefficients, needs)
    s.store_edge(s.state, "g_", "first_")
    for i, name in enumerate(sums):
        s.add(1, f"tl.store(sums + {i} * row_size + lane, {name}, inside)")
    arguments = [
        *names(s.inputs), *names(s.coefficients), "saved", *names(s.outputs, "g_"),
        *names(s.state, "g_"), *names(inputs, "d_"), *names(s.state, "first_"), "sums",
    ]  # fmt: skip
    return s.function("backward", arguments)


def _backward_steps(s: Source, count: int, coefficients: list[Array], needs: Needs) -> None:
    """Some steps in reverse; the gradient of the state is carried along."""
    assert s.graphs.backward is not None
    assert s.graphs.backward_constants is not None
    inputs, summed = s.wanted(needs)
    values, seeds = _retake_steps(s, count, coefficients)
    carried = [f.terms(s.dtype, "g_") for f in s.state]
    totals = [f.terms(s.dtype, "g_") for f in summed]
    interpreter = Interpreter(print_operation, prefix=f"b{count}_")
    cut = (len(inputs), len(inputs) + len(s.state))
    for u in reversed(range(count)):
        results = interpreter.run(
            s.graphs.backward, s.graphs.backward_constants, [*values[u], *seeds[u], *carried]
        )
        carried, parts = results[cut[0] : cut[1]], results[cut[1] :]
        totals = [interpreter.add(*pair) for pair in zip(totals, parts, strict=True)]
        s.add(2, *interpreter.take())
        s.store_step(inputs, results[: cut[0]], "d_", u)
    s.carry([*s.state, *summed], [*carried, *totals], "g_")


def _retake_steps(
    s: Source, count: int, coefficients: list[Array]
) -> tuple[list[list[Array]], list[list[Array]]]:
    """The arguments of each step of a block, from the state before the first; output gradients."""
    assert s.graphs.advance is not None
    for plane, name in enumerate(s.planes):
        s.load(2, name, s.kept(plane))
    inputs = [s.load_step(s.inputs, "", u) for u in range(count)]
    seeds = [s.load_step(s.outputs, "g_", u) for u in range(count)]
    interpreter = Interpreter(print_operation, prefix=f"a{count}_")
    state = [f.terms(s.dtype) for f in s.state]
    arguments: list[list[Array]] = []
    for u in range(count):
        arguments.append([*inputs[u], *state, *coefficients])
        if u + 1 < count:
            state = interpreter.run(s.graphs.advance, s.graphs.constants, arguments[-1])
            s.add(2, *interpreter.take())
    return arguments, seeds


def names(fields: Sequence[Field], prefix: str = "") -> list[str]:
    """What the fields' arrays are called."""
    return [prefix + f.name for f in fields]


def _offset(index: str, f: Field, k: int) -> str:
    return index if f.width == 1 else f"{index} * {f.width} + {k}"


def _place(array: str, f: Field, k: int, row: str) -> str:
    """Where element ``k`` of a row of a sequence lies."""
    return f"{array} + {row} * row_size * {f.width} + {_offset('lane', f, k)}"
