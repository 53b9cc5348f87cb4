"""All that keeps a network from the chip, at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spikewright.compiler.design import Design, Piece
from spikewright.compiler.discrete import (
    INPUT,
    Affine,
    DiscreteProgram,
    Neurons,
    Node,
)
from spikewright.compiler.target import Broken
from spikewright.engine.program import (
    Delayed,
    DelayedProduct,
    Maximum,
)
from spikewright.targets.brainscales2.chip import ROWS
from spikewright.targets.brainscales2.limits import (
    LEAST_GAIN,
    LEAST_POTENTIAL,
    LEAST_TAU,
    MOST_GAIN,
    MOST_POTENTIAL,
    MOST_RATE,
    MOST_REFRACTORY,
    MOST_TAU,
)
from spikewright.targets.brainscales2.lowering.packing import Wires
from spikewright.targets.brainscales2.lowering.partition import Partition
from spikewright.targets.brainscales2.lowering.response import order_of, response, value
from spikewright.targets.brainscales2.lowering.scale import SCALES, LayerScale
from spikewright.targets.brainscales2.lowering.schedule import RATE
from spikewright.targets.brainscales2.lowering.wiring import (
    MODELS,
    MOST_ENTRIES,
    Path,
    is_bias,
    is_sound,
    layers,
    neurons,
    paths,
    projections,
    size,
)
from spikewright.units import format_seconds

_OPERATIONS: dict[type, tuple[str, str]] = {
    Affine: (
        "a scale or shift of values",
        "Fold it into the weights before it: put the batch norm right behind a product.",
    ),
    Maximum: ("a maximum over windows", "Use SumPool2d or AvgPool2d, which become weights."),
    Delayed: ("delays", "Leave the delays out."),
    DelayedProduct: ("delays", "Use Linear, which has none."),
}


@dataclass(frozen=True)
class Asked:
    """What is asked of the chip beside the network.

    Args:
        repeat: rows of each sign that an input channel takes.
        dead: circuits that cannot be used.
        acceleration: network time over chip time.
    """

    repeat: int = 1
    dead: tuple[int, ...] = ()
    acceleration: float = 1.0


def check(design: Design, asked: Asked | None = None) -> list[Broken]:
    """All limits that a network breaks, in the order of its nodes' kinds.

    Works on a design that no pass has seen as well; what depends on scales is looked at once
    they are chosen.
    """
    asked = asked or Asked()
    program = design.program
    found = [*_operations(program), *_models(program), *_joins(program), *_output(program)]
    found += [*_rows(program, asked), *_times(program, asked), *_potentials(design)]
    found += [*_gains(design), *_link(design)]
    if is_sound(program) and not found:
        found += _fits(design, asked)
    return found


def _operations(program: DiscreteProgram) -> Iterator[Broken]:
    for node in program.nodes:
        operation = node.operation
        for kind, (what, way) in _OPERATIONS.items():
            if isinstance(operation, kind):
                have = "synapses between neurons alone"
                yield Broken(node.name, "operations", what, have, way)


def _known(program: DiscreteProgram) -> list[Node]:
    """Layers of neurons that circuits can be."""
    return [node for node in layers(program) if neurons(node).model in MODELS]


def _models(program: DiscreteProgram) -> Iterator[Broken]:
    for node in layers(program):
        it = neurons(node)
        options = it.options
        if it.model not in MODELS:
            way = "Use CubaLIF, or CubaLI for a readout."
            yield Broken(node.name, "neuron model", it.model, " and ".join(MODELS), way)
        if it.spiking and options.get("reset", "to_value") != "to_value":
            need, way = f"reset={options['reset']!r}", "Use reset='to_value'."
            yield Broken(node.name, "reset", need, "a reset to a potential", way)
        if it.spiking and int(options.get("max_spikes", 1)) > 1:
            need, way = f"{options['max_spikes']} spikes a step", "Use max_spikes=1."
            yield Broken(node.name, "spikes a step", need, "one event for each spike", way)
        if it.noise:
            way = "Use noise=0.0: the chip brings its own."
            yield Broken(node.name, "noise", "noise of a given size", "the noise it has", way)


def _joins(program: DiscreteProgram) -> Iterator[Broken]:
    for path in paths(program):
        back = path.source == path.target
        if path.steps != (1 if back else 0):
            need = f"{path.steps} steps from {path.source!r} to {path.target!r}"
            have = "events that travel at once, and back to their own layer in one step"
            yield Broken(path.target, "delays", need, have, "Leave the delay out.")
        if path.source != INPUT and not neurons(program.node(path.source)).spiking:
            way = "Use CubaLIF, or let nothing follow it."
            have = "no way to send anything but spikes"
            yield Broken(path.source, "events", "its membrane sent on", have, way)
        yield from _sizes(program, path)


def _sizes(program: DiscreteProgram, path: Path) -> Iterator[Broken]:
    if not path.nodes:
        need, way = "its input without weights", "Put Linear(..., bias=False) before it."
        yield Broken(path.target, "synapses", need, "synapses with weights", way)
        return
    largest = size(program, path.source) * max(size(program, name) for name in path.nodes)
    if largest > MOST_ENTRIES:
        need, have = f"{largest:,} pairs of a source and a target", f"room for {MOST_ENTRIES:,}"
        yield Broken(path.nodes[0], "unrolled matrix", need, have, "Make the image smaller.")


def _output(program: DiscreteProgram) -> Iterator[Broken]:
    node = program.node(program.output)
    if not isinstance(node.operation, Neurons):
        need, have = "its values read out", "spikes and membranes of neurons to read"
        yield Broken(node.name, "output", need, have, "Put CubaLI or CubaLIF behind it.")


def _rows(program: DiscreteProgram, asked: Asked) -> Iterator[Broken]:
    """Circuits that listen to more channels than a block has rows for."""
    wires = Wires.of(projections(program), asked.repeat)
    for node in layers(program):
        listened = wires.joining.get(node.name, ())
        if not listened:
            continue
        rows = sum(p.joined.sum(1) * wires.rows(p.source) for p in listened)
        most = int(np.max(rows))
        if most > ROWS:
            inputs = int(np.max(sum(p.joined.sum(1) for p in listened)))
            own = ", its bias among them" if any(is_bias(p.source) for p in listened) else ""
            often = f", {asked.repeat} times for the network's input and biases"
            twice = often if asked.repeat > 1 else ""
            yield Broken(
                node.name,
                "signed inputs",
                f"{inputs:,} inputs a neuron{own}, {most:,} rows",
                f"{ROWS} rows a block, two for a signed input{twice}",
                f"Use at most {ROWS // 2} inputs a neuron; its own layer and a bias count as well.",
            )


def _times(program: DiscreteProgram, asked: Asked) -> Iterator[Broken]:
    way = _way_out(program)
    for node in _known(program):
        answer = response(node, program.dt)
        for name, tau in (("tau_mem", answer.tau_mem), ("tau_syn", answer.tau_syn)):
            low, high = (float(t) / asked.acceleration for t in (tau.min(), tau.max()))
            if low < LEAST_TAU or high > MOST_TAU or not math.isfinite(low + high):
                bad = low if low < LEAST_TAU else high
                effect = " after its order of update" if order_of(neurons(node)) == "euler" else ""
                have = f"{format_seconds(LEAST_TAU)} to {format_seconds(MOST_TAU)}"
                need = f"{name} of {format_seconds(bad)} of the chip's time{effect}"
                yield Broken(node.name, "time constants", need, have, way)
        refractory = float(neurons(node).options.get("refractory", 0.0)) / asked.acceleration
        if refractory > MOST_REFRACTORY:
            need, have = (f"{format_seconds(t)}" for t in (refractory, MOST_REFRACTORY))
            shorter = "Use a shorter refractory period or a larger acceleration."
            yield Broken(node.name, "refractory period", need, f"at most {have}", shorter)


def _way_out(program: DiscreteProgram) -> str:
    """The acceleration with which all time constants fit, if there is one."""
    answers = [response(node, program.dt) for node in _known(program)]
    taus = np.concatenate([np.empty(0), *(t for a in answers for t in (a.tau_mem, a.tau_syn))])
    if not taus.size:
        return ""
    least, most = float(taus.max()) / MOST_TAU, float(taus.min()) / LEAST_TAU
    if not 0 < least <= most < math.inf:
        return "Bring the time constants nearer to each other."
    power = 10.0 ** math.floor(math.log10(most))
    fits = power if power >= least else math.sqrt(least * most)
    return f"Compile with acceleration={fits:.4g}."


def _potentials(design: Design) -> Iterator[Broken]:
    scales: dict[str, LayerScale] = design.extra.get(SCALES, {})
    for node in _known(design.program):
        if not (value(node, "r") > 0).all():
            way = "Turn the signs of r and of the weights before it."
            yield Broken(node.name, "gain", "r of 0 or below", "synapses with a gain above 0", way)
        names = ("v_leak", "v_reset", "v_threshold") if neurons(node).spiking else ("v_leak",)
        if neurons(node).spiking and not _is_above(node):
            need, way = "a threshold at or below its leak", "Put v_threshold above v_leak."
            yield Broken(node.name, "potentials", need, "neurons at rest that are silent", way)
        elif node.name in scales:
            lsb = {name: scales[node.name].lsb(value(node, name)) for name in names}
            for name, values in lsb.items():
                low, high = float(values.min()), float(values.max())
                if low < LEAST_POTENTIAL or high > MOST_POTENTIAL:
                    bad = low if low < LEAST_POTENTIAL else high
                    have = f"{LEAST_POTENTIAL:.0f} to {MOST_POTENTIAL:.0f} LSB"
                    way = f"Bring {name} nearer to v_leak and to that of the other neurons."
                    yield Broken(node.name, "potentials", f"{name} at {bad:.0f} LSB", have, way)


def _is_above(node: Node) -> bool:
    return bool((value(node, "v_threshold") > value(node, "v_leak")).all())


def _gains(design: Design) -> Iterator[Broken]:
    scales: dict[str, LayerScale] = design.extra.get(SCALES, {})
    for name, scale in scales.items():
        strength = response(design.program.node(name), design.program.dt).strength
        gain = strength * scale.per_unit / scale.weight
        if gain.min() < LEAST_GAIN * 0.999 or gain.max() > MOST_GAIN * 1.001:
            need = f"synapses of {gain.min():.3g} to {gain.max():.3g} LSB a code"
            have, way = f"{LEAST_GAIN} to {MOST_GAIN}", "Leave weight_scale out, or change r."
            yield Broken(name, "gain", need, have, way)


def _link(design: Design) -> Iterator[Broken]:
    rate = design.extra.get(RATE, 0.0)
    if rate > MOST_RATE:
        need, have = (f"{r * 1e-6:,.0f} events a µs" for r in (rate, MOST_RATE))
        way = "Spread the input over more steps, or use a smaller acceleration or bias=False."
        yield Broken(INPUT, "link", need, f"a link for {have}", way)


def _fits(design: Design, asked: Asked) -> Iterator[Broken]:
    """Layers that the partition could not put anywhere."""
    program = design.program
    if design.pieces or Partition(asked.repeat, asked.dead).apply(design).pieces:
        return
    wires = Wires.of(projections(program), asked.repeat)
    for node in layers(program):
        count = size(program, node.name)
        if any(p.steps for p in wires.joining[node.name]):
            rows = wires.taken(wires.heard(Piece(node.name, 0, count)))
            yield Broken(
                node.name,
                "one run",
                f"{count:,} circuits and {rows:,} rows in one run, for its spikes come back",
                f"512 circuits, {len(asked.dead)} of them dead, and {ROWS} rows a block",
                "Use fewer neurons or fewer inputs.",
            )


def used(design: Design, asked: Asked) -> dict[str, float]:
    """How much of each limit a design takes, by the limit's name; of the fullest run or block."""
    program = design.program
    wires = Wires.of(projections(program))
    columns, rows = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    for place in design.places:
        columns[place.piece.run, place.core] += len(place.units)
    for route in design.routes:
        rows[route.run, route.core] += int((route.rows >= 0).sum())
    circuits = Counter[int]()
    for (run, _), count in columns.items():
        circuits[run] += count
    inputs = [np.max(sum(p.joined.sum(1) for p in mine)) for mine in wires.joining.values()]
    found: dict[str, float] = {
        "neuron circuits": max(circuits.values(), default=0),
        "blocks": len({block for _, block in columns}),
        "columns": max(columns.values(), default=0),
        "rows": max(rows.values(), default=0),
        "signed inputs": max(map(int, inputs), default=0),
    }
    answers = [response(node, program.dt) for node in layers(program)]
    taus = np.concatenate([t for a in answers for t in (a.tau_mem, a.tau_syn)]) / asked.acceleration
    found["least time constant"] = float(taus.min()) * 1e6
    found["largest time constant"] = float(taus.max()) * 1e6
    return found | ({"link": design.extra[RATE] * 1e-6} if RATE in design.extra else {})
