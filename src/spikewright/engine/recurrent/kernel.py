"""The source of a recurrent layer's kernels: the printed step, spikes sent back, and the reverse.

Neurons of one sample lie side by side in every row. The forward kernel takes a few samples
through the whole sequence, a step of one after that of another: what reached its inputs, the step
over all neurons, one bit for each spike, and the row of weights of each neuron that spiked into the
drive of a later step. It keeps the drive of each step (the input need not be kept then) and the
state before every ``segment`` steps.

The backward kernel takes a few samples together in reverse. It takes the steps of a segment again
from the kept state, which needs no product. The gradient of the spikes of a step is that of what
came out, plus that of the drives they were sent to: a matrix product which the samples share, or,
where few neurons can pass a gradient on, one row of weights for each of those.
"""

from __future__ import annotations

from collections.abc import Sequence

from spikewright.engine.cpu.kernel import Source, compose
from spikewright.engine.cpu.numba_ops import as_type, print_operation
from spikewright.engine.tracing.fields import Field
from spikewright.engine.tracing.symbolic import Array, Interpreter
from spikewright.engine.tracing.trace import Needs, Reach, StepGraphs

_IMPORTS = """
from spikewright.engine.sources.feedback import (
    SHARE, list_all, list_marked, list_nonzero, multiply, receive_{kind}, send_{kind}, unbounded
)
"""
_TABLE, _CUBE = "[:,::1]", "[:,:,::1]"
_INTEGERS = ("first", "last", "steps", "batch", "group", "segment", "whole")

Arguments = list[tuple[str, str]]


def forward_source(graphs: StepGraphs, kind: str, reach: Reach | None) -> str:
    """The forward kernel for spikes that travel as ``kind`` says (see `Wiring`).

    Args:
        reach: where given, the kernel also sets a bit for each place where a gradient of the
            spikes is of use.
    """
    s = Source(graphs)
    s.add(0, *s.shared_values(), "    size, depth = y0.shape[2], ring.shape[1]")
    s.add(1, "for part in range(first, last):", "    b0, ring[:] = part * group, 0")
    s.add(2, "samples = range(b0, min(b0 + group, batch))", "for b in samples:")
    s.add(3, "for m in range(past.shape[0]):", "    time = m + 1 - past.shape[0]")
    s.add(4, "listed = list_nonzero(past[m, b], whole, index)")
    s.add(4, f"send_{kind}(index, listed, past[m, b], time, rows, delays, ring[b - b0])")
    s.add(2, "for t in range(steps):", "    for b in samples:")
    _slice(s, 4, [*s.inputs, *s.outputs], "t, b")
    _slice(s, 4, s.state, "b")
    s.add(4, "row, fed = t * batch + b, ring[b - b0, t % depth]", "drive_row = drive[t * keep, b]")
    s.add(4, "if keep and t % segment == 0:")
    for f in s.state:
        s.add(5, f"kept = kept_{f.name}[t // segment, b]", "for l in range(len(kept)):")
        s.add(6, f"kept[l] = {f.name}r0[l]")
    s.add(4, "for l in range(size):")
    _forward_step(s, reach)
    if reach:
        s.add(4, "mark_row(reached, size, active[row], 0)")
    s.add(4, "graded[part] |= mark_row(y0r0, size, bits[row], 0)")
    s.add(4, "listed = list_marked(bits[row], size, whole, index)")
    s.add(4, f"send_{kind}(index, listed, y0r0, t + 1, rows, delays, ring[b - b0])")
    arguments = [
        *_arrays(s, s.inputs, _CUBE),
        *_arrays(s, s.state, _TABLE),
        *_arrays(s, s.coefficients, _TABLE),
        *_arrays(s, s.outputs, _CUBE),
        ("rows", s.kind(_TABLE)),
        ("bias", s.kind("[::1]")),
        ("delays", "i4[:,::1]"),
        ("past", s.kind(_CUBE)),
        ("ring", s.kind(_CUBE)),
        ("index", "i4[::1]"),
        ("bits", "u8[:,::1]"),
        ("graded", "u8[::1]"),
        ("drive", s.kind(_CUBE)),
        *_arrays(s, s.state, _CUBE, "kept_"),
        *([("reached", s.kind("[::1]")), ("active", "u8[:,::1]")] if reach else []),
    ]
    return compose("forward", [*_integers("keep"), *arguments], s.lines, _IMPORTS.format(kind=kind))


def backward_source(graphs: StepGraphs, needs: Needs, kind: str, local: bool) -> str:
    """The backward kernel; if ``local``, it reads where a gradient of the spikes is of use."""
    s = Source(graphs)
    wanted, summed = s.wanted(needs)
    s.add(0, *s.shared_values(), "    size = g_y0.shape[2]")
    s.add(1, "for part in range(first, last):")
    s.add(2, "b0 = part * group", "width = min(group, batch - b0)")
    s.add(2, "broken[b0:b0 + width] = whole", "for block in range((steps - 1) // segment, -1, -1):")
    s.add(3, "t0 = block * segment", "count = min(segment, steps - t0)")
    s.add(3, "for g in range(width):", "    b = b0 + g")
    _retake_segment(s)
    s.add(3, "for u in range(count - 1, -1, -1):", "    t = t0 + u")
    _pull_gradients(s, kind, local)
    s.add(4, "last = t - steps + g_recent.shape[0]", "if last >= 0:")
    s.add(5, "for g in range(width):", "    for l in range(size):")
    s.add(7, "pull[g, l] += g_recent[last, b0 + g, l]")
    s.add(4, "for g in range(width):", "    b = b0 + g")
    _backward_step(s, wanted, summed)
    s.add(2, "for m in range(g_past.shape[0]):", "    for b in range(b0, b0 + width):")
    s.add(4, "everyone, time = list_all(size, index[0]), m + 1 - g_past.shape[0]")
    s.add(4, f"receive_{kind}(index[0], everyone, time, b, d_x0, rows, delays, g_past[m, b])")
    arguments = [
        *_arrays(s, s.inputs, _CUBE),
        *_arrays(s, s.coefficients, _TABLE),
        *_arrays(s, s.state, _CUBE, "kept_"),
        *_arrays(s, s.outputs, _CUBE, "g_"),
        *_arrays(s, s.state, _TABLE, "g_"),
        *_arrays(s, wanted, _CUBE, "d_"),
        *_arrays(s, summed, _TABLE, "sum_"),
        ("g_recent", s.kind(_CUBE)),
        ("g_past", s.kind(_CUBE)),
        ("weight", s.kind(_TABLE)),
        ("rows", s.kind(_TABLE)),
        ("delays", "i4[:,::1]"),
        ("pull", s.kind(_TABLE)),
        ("index", "i4[:,::1]"),
        ("listed", "i8[::1]"),
        ("broken", "u1[::1]"),
        *_arrays(s, s.state, _TABLE, "again_"),
        *([("active", "u8[:,::1]")] if local else []),
    ]
    return compose("backward", [*_integers(), *arguments], s.lines, _IMPORTS.format(kind=kind))


def _forward_step(s: Source, reach: Reach | None) -> None:
    """One step of all neurons of a sample: the drive is what came in and what was sent back."""
    inputs = s.load(5, s.inputs, "", 0)
    drive = s.inputs[0]
    for k, term in enumerate(inputs[0].flat):
        cell = f"l * {drive.width} + {k}"
        s.add(5, f"{term.text} = {term.text} + (fed[{cell}] + bias[{cell}])")
        s.add(5, f"drive_row[{cell}] = {term.text}", f"fed[{cell}] = 0")
    interpreter = Interpreter(print_operation, prefix="f_")
    arguments = inputs + s.load(5, s.state, "", 0) + _coefficients(s, 5)
    results = interpreter.run(s.graphs.forward, s.graphs.constants, arguments)
    s.add(5, *interpreter.take())
    for f, values in zip((*s.outputs, *s.state), results, strict=True):
        s.store(5, f, values, "", 0)
    if reach:
        (reached,) = interpreter.run(reach.graph, reach.constants, arguments)
        s.add(5, *interpreter.take(), f"reached[l] = {as_type(reached.item(), s.dtype)}")


def _retake_segment(s: Source) -> None:
    """The states before each step of a segment once more, from the first."""
    assert s.graphs.advance is not None
    for f in s.state:
        s.add(4, f"for l in range(size * {f.width}):")
        s.add(5, f"again_{f.name}[g, l] = kept_{f.name}[block, b, l]")
    s.add(4, "for u in range(1, count):")
    _slice(s, 5, s.inputs, "t0 + u - 1, b")
    _slice(s, 5, s.state, "(u - 1) * group + g", source="again_")
    _slice(s, 5, s.state, "u * group + g", "next_", "again_")
    s.add(5, "for l in range(size):")
    interpreter = Interpreter(print_operation, prefix="a_")
    arguments = s.load(6, s.inputs, "", 0) + s.load(6, s.state, "", 0) + _coefficients(s, 6)
    results = interpreter.run(s.graphs.advance, s.graphs.constants, arguments)
    s.add(6, *interpreter.take())
    for f, values in zip(s.state, results, strict=True):
        s.store(6, f, values, "next_", 0)


def _pull_gradients(s: Source, kind: str, local: bool) -> None:
    """Fill ``pull``: what the drives of later steps ask of the spikes of step t."""
    s.add(4, "pull[:] = 0")
    if kind == "now" and not local:
        _pull_product(s, 4)
        return
    s.add(4, "total = 0", "for g in range(width):")
    marked = "list_marked(active[t * batch + b0 + g], size, broken[b0 + g], index[g])"
    s.add(5, f"listed[g] = {marked if local else 'list_all(size, index[g])'}")
    s.add(5, "total += listed[g]")
    if kind == "now":
        s.add(4, "if SHARE * total >= width * size:")
        _pull_product(s, 5)
        s.add(4, "else:")
    _pull_listed(s, 5 if kind == "now" else 4, kind)


def _pull_product(s: Source, depth: int) -> None:
    s.add(depth, "if t + 1 < steps:")
    s.add(depth + 1, "multiply(d_x0[t + 1, b0:b0 + width], weight, width, pull)")


def _pull_listed(s: Source, depth: int, kind: str) -> None:
    s.add(depth, "for g in range(width):")
    call = f"receive_{kind}(index[g], listed[g], t + 1, b0 + g, d_x0, rows, delays, pull[g])"
    s.add(depth + 1, call)


def _backward_step(s: Source, wanted: list[Field], summed: list[Field]) -> None:
    """One step of a sample in reverse; the gradient of the state is carried in its rows."""
    assert s.graphs.backward is not None
    assert s.graphs.backward_constants is not None
    s.add(5, "out = pull[g]")
    _slice(s, 5, s.inputs, "t, b")
    _slice(s, 5, s.state, "u * group + g", source="again_")
    _slice(s, 5, s.outputs, "t, b", "g_")
    _slice(s, 5, s.state, "b", "g_")
    _slice(s, 5, wanted, "t, b", "d_")
    _slice(s, 5, summed, "part", "sum_")
    s.add(5, "for l in range(size):")
    values = s.load(6, s.inputs, "", 0) + s.load(6, s.state, "", 0) + _coefficients(s, 6)
    seeds = s.load(6, s.outputs, "g_", 0)
    spikes = seeds[0].item().text
    s.add(6, f"{spikes} = {spikes} + out[l]")
    seeds += s.load(6, s.state, "g_", 0)
    totals = s.load(6, summed, "sum_", 0)
    interpreter = Interpreter(print_operation, prefix="b_")
    results = interpreter.run(s.graphs.backward, s.graphs.backward_constants, values + seeds)
    first, second = len(wanted), len(wanted) + len(s.state)
    totals = [interpreter.add(*pair) for pair in zip(totals, results[second:], strict=True)]
    s.add(6, *interpreter.take())
    for fields, found, prefix in (
        (wanted, results[:first], "d_"),
        (s.state, results[first:second], "g_"),
        (summed, totals, "sum_"),
    ):
        for f, gradient in zip(fields, found, strict=True):
            s.store(6, f, gradient, prefix, 0)
    s.add(5, "if unbounded(d_x0r0):", "    broken[b] = 1")


def _coefficients(s: Source, depth: int) -> list[Array]:
    """Terms of the coefficients; those that neurons do not share are loaded."""
    for c in s.spread:
        s.add(depth, *(f"{name} = {c.name}[l, {k}]" for k, name in enumerate(c.names())))
    return [c.terms(s.dtype) for c in s.coefficients]


def _slice(
    s: Source, depth: int, fields: Sequence[Field], place: str, prefix: str = "", source: str = ""
) -> None:
    """Name the rows at ``place``; those called ``prefix`` are taken from arrays ``source``."""
    source = source or prefix
    s.add(depth, *(f"{prefix}{f.name}r0 = {source}{f.name}[{place}]" for f in fields))


def _integers(*more: str) -> Arguments:
    return [(name, "i8") for name in (*_INTEGERS, *more)]


def _arrays(s: Source, fields: Sequence[Field], kind: str, prefix: str = "") -> Arguments:
    return [(prefix + f.name, s.kind(kind)) for f in fields]
