"""The source of a recurrent layer's kernels for a GPU: the printed step, spikes sent back, reverse.

The spikes of a step must be known before the next begins. One program therefore takes one sample
with all its neurons through the whole sequence, ``LANES`` of them at a time; a barrier for the
threads of one program is all that is waited for, and a sequence is one launch. What a thread
carries from step to step lies in memory, at a place that only it visits.

Forward, each step lists the neurons that spiked lately enough to arrive, and adds one row of
weights for each. The drive of every step is kept in place of the input, and the state before every
step: a step in reverse then needs no step before it. Backward, the gradient of the spikes of a step
is that of what came out, plus the weights times the gradient of the drives that they reached.
"""

from __future__ import annotations

from pathlib import Path

from spikewright.engine.gpu.kernel import Source, names
from spikewright.engine.gpu.triton_ops import print_operation
from spikewright.engine.tracing.fields import Field
from spikewright.engine.tracing.symbolic import Array, Interpreter
from spikewright.engine.tracing.trace import Needs, StepGraphs

_HELPERS = Path(__file__).parents[1] / "sources" / "gpu_feedback.py"
TOGETHER = 8
"""Rows of weights that are on their way at once."""
_SIZES = ("steps", "batch", "neurons", "inputs", "window", "by_input", "by_neuron")
CONSTANTS = ("DELAYED", "LANES")
_DELAYS = "delays, by_input, by_neuron"
_PROLOGUE = (
    "    sample = tl.program_id(0).to(tl.int64)",
    "    row_size = tl.cast(batch, tl.int64) * neurons",
    "    drive_size = tl.cast(batch, tl.int64) * inputs",
)
_BLOCK = (
    "neuron = start + tl.arange(0, LANES).to(tl.int64)",
    "inside = neuron < neurons",
    "lane = sample * neurons + neuron",
)


def sources(graphs: StepGraphs, needs: Needs | None) -> dict[str, str]:
    """The kernels ``forward`` and, if a gradient is needed, ``backward``."""
    found = {"forward": _forward_source(graphs)}
    if needs is not None:
        found["backward"] = _backward_source(graphs, needs)
    helpers = _HELPERS.read_text()
    return {name: f"{helpers}\n\n{text}" for name, text in found.items()}


def _forward_source(graphs: StepGraphs) -> str:
    s = Source(graphs)
    s.add(1, "bad = tl.load(whole) != 0", f"{s.outputs[0].name} = sent + window * row_size")
    s.add(1, "for t in range(0, tl.cast(steps, tl.int64)):", "    row = t + window")
    found = "list_recent(sent, recent, index, row, window, sample * neurons, row_size, neurons"
    s.add(2, f"listed = {found}, bad, LANES)", "tl.debug_barrier()")
    s.add(2, "for start in range(0, neurons, LANES):")
    s.add(3, *_BLOCK)
    coefficients = s.load_coefficients(3)
    inputs = s.load_row(3, s.inputs, "", "t")
    _add_feedback(s)
    state = s.load_row(3, s.state, "", "t * keep")
    interpreter = Interpreter(print_operation, prefix="f_")
    arguments = [*inputs, *state, *coefficients]
    results = interpreter.run(graphs.forward, graphs.constants, arguments)
    s.add(3, *interpreter.take())
    cut = len(s.outputs)
    s.store_row(3, s.outputs, results[:cut], "", "t")
    s.store_row(3, s.state, results[cut:], "", "(t + 1) * keep")
    s.add(2, "tl.debug_barrier()")
    arguments = [
        *names(s.inputs), *names(s.state), *names(s.coefficients), "sent", *names(s.outputs[1:]),
        "drive", "rows", "bias", "delays", "recent", "index", "whole",
    ]  # fmt: skip
    return s.function("forward", arguments, (*_SIZES, "keep"), _PROLOGUE, CONSTANTS)


def _add_feedback(s: Source) -> None:
    """Add to the drive what was sent back, and keep it."""
    (drive, *_) = s.inputs
    for k, name in enumerate(drive.names()):
        s.add(3, f"cell = neuron * {drive.width} + {k}")
        place = f"row, sample * neurons, row_size, {_DELAYS}, cell, inputs, inside"
        s.add(3, f"fed = add_listed(rows, index, listed, sent, {place}, {_constants(s)})")
        s.add(3, f"{name} = {name} + (fed + tl.load(bias + cell, inside, 0.0).to({s.kind}))")
        kept = "drive + t * keep * drive_size + sample * inputs + cell"
        s.add(3, f"tl.store({kept}, {name}, inside)")


def _backward_source(graphs: StepGraphs, needs: Needs) -> str:
    """Steps in reverse, and on into the spikes from before the first."""
    s = Source(graphs)
    inputs, summed = s.wanted(needs)
    s.add(1, "for back in range(0, tl.cast(steps, tl.int64) + pasts):", "    t = steps - 1 - back")
    s.add(2, "for start in range(0, neurons, LANES):")
    s.add(3, *_BLOCK)
    place = f"steps, drive_size, sample * inputs, {_DELAYS}, neuron, neurons, inputs, inside"
    s.add(3, f"pulled = pull(weight, d_{inputs[0].name}, t, {place}, {_constants(s)})")
    s.add(3, "if t < 0:")
    s.add(4, "tl.store(g_past + (t + pasts) * row_size + lane, pulled, inside)")
    s.add(3, "else:")
    _backward_step(s, inputs, summed)
    s.add(2, "tl.debug_barrier()")
    arguments = [
        *names(s.inputs), *names(s.state), *names(s.coefficients), *names(s.outputs, "g_"),
        *names(s.state, "g_"), *names(inputs, "d_"), *names(summed, "g_"), "g_past", "weight",
        "delays",
    ]  # fmt: skip
    return s.function("backward", arguments, (*_SIZES, "pasts"), _PROLOGUE, CONSTANTS)


def _backward_step(s: Source, inputs: list[Field], summed: list[Field]) -> None:
    """One step in reverse; gradients of state and coefficients are carried in their arrays."""
    assert s.graphs.backward is not None
    assert s.graphs.backward_constants is not None
    values = [*s.load_row(4, s.inputs, "", "t"), *s.load_row(4, s.state, "", "t")]
    values += s.load_coefficients(4)
    seeds = s.load_row(4, s.outputs, "g_", "t")
    spikes = seeds[0].item().text
    s.add(4, f"{spikes} = {spikes} + pulled")
    seeds += s.load_row(4, s.state, "g_", "0")
    totals: list[Array] = s.load_row(4, summed, "g_", "0")
    interpreter = Interpreter(print_operation, prefix="b_")
    results = interpreter.run(s.graphs.backward, s.graphs.backward_constants, values + seeds)
    first, second = len(inputs), len(inputs) + len(s.state)
    totals = [interpreter.add(*pair) for pair in zip(totals, results[second:], strict=True)]
    s.add(4, *interpreter.take())
    s.store_row(4, inputs, results[:first], "d_", "t")
    s.store_row(4, s.state, results[first:second], "g_", "0")
    s.store_row(4, summed, totals, "g_", "0")


def _constants(s: Source) -> str:
    return f"DELAYED, {TOGETHER}, {s.kind}, LANES"
