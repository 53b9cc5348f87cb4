"""From a design to the plan that runs on a chip, and a plan with other weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from spikewright.compiler.design import Design, Route
from spikewright.compiler.discrete import INPUT, DiscreteProgram
from spikewright.targets.brainscales2.chip import (
    BLOCKS,
    CIRCUITS,
    COLUMNS,
    ROWS,
    Configuration,
)
from spikewright.targets.brainscales2.lowering.codes import rows_of, signed_codes, write_codes
from spikewright.targets.brainscales2.lowering.plan import Plan, Run, Seat
from spikewright.targets.brainscales2.lowering.scale import SCALES
from spikewright.targets.brainscales2.lowering.set_codes import SETTINGS
from spikewright.targets.brainscales2.lowering.timing import Clock, times
from spikewright.targets.brainscales2.lowering.wanted import reading, seats, wanted
from spikewright.targets.brainscales2.lowering.wiring import layers, neurons, projections
from spikewright.targets.brainscales2.settings import Settings

Shown = Mapping[str, tuple[str, ...]]


def lower(design: Design, clock: Clock, shown: Shown) -> Plan:
    """The runs of a design that has been through all passes.

    Args:
        shown: by layer, which of ``"spikes"`` and ``"v"`` are handed back.
    """
    program = design.program
    runs: list[Run] = []
    for slot in design.slots:
        asked = wanted(design, slot.run, clock)
        settings = design.extra[SETTINGS][slot.run]
        found: dict[str, Seat] = {}
        begin = times(program, slot.nodes, clock)
        for node, which, circuits in seats(design, slot.run):
            scale = design.extra[SCALES][node.name]
            read = reading(node, scale, circuits, asked, settings)
            rest = (begin.start[node.name], neurons(node).spiking, shown[node.name])
            found[node.name] = Seat(which, circuits, *read, *rest)
        routes = tuple(route for route in design.routes if route.run == slot.run)
        runs.append(Run(_configuration(found, routes, settings), found, routes, begin.sent))
    shapes = {INPUT: program.shape, **{node.name: node.shape for node in layers(program)}}
    plan = Plan(program.dt, clock, tuple(runs), shapes, program.output, _scales(design))
    return load(plan, program)[0]


def _scales(design: Design) -> dict[tuple[str, str], float]:
    """By (source, target), codes for a weight of 1 in each row that listens."""
    repeats = {r.source: r.rows.shape[1] // 2 for r in design.routes}
    scales = design.extra[SCALES]
    return {
        (p.source, p.target): scales[p.target].weight / repeats[p.source]
        for p in projections(design.program)
    }


def _configuration(
    found: Mapping[str, Seat], routes: Sequence[Route], settings: Settings
) -> Configuration:
    """All but the weights."""
    signs, rows = rows_of(routes)
    address = np.full(CIRCUITS, -1, dtype=np.int32)
    firing = np.zeros(CIRCUITS, dtype=np.bool_)
    sampled = np.zeros(CIRCUITS, dtype=np.bool_)
    for seat in found.values():
        if seat.spiking:
            address[seat.circuits] = seat.circuits
            firing[seat.circuits] = True
        sampled[seat.circuits] = not seat.spiking or "v" in seat.shown
    weights = np.zeros((BLOCKS, ROWS, COLUMNS), dtype=np.uint8)
    switches = {"firing": firing}
    return Configuration(weights, signs, rows, address, settings.codes, switches, sampled)


def load(plan: Plan, program: DiscreteProgram) -> tuple[Plan, dict[str, int]]:
    """The plan with the weights of a program, and how many of each layer's were clipped.

    Runs whose codes stay as they are, are the same objects as before.
    """
    clipped: dict[str, int] = {}
    codes: dict[tuple[str, str], np.ndarray] = {}
    for p in projections(program):
        key = (p.source, p.target)
        codes[key], beyond = signed_codes(p.weight, plan.weight[key])
        clipped[p.target] = clipped.get(p.target, 0) + beyond
    return replace(plan, runs=tuple(_loaded(run, codes) for run in plan.runs)), clipped


def _loaded(run: Run, codes: Mapping[tuple[str, str], np.ndarray]) -> Run:
    weights = np.zeros_like(run.configuration.weights)
    for route in run.routes:
        for name, seat in run.seats.items():
            if (route.source, name) in codes:
                write_codes(weights, codes[route.source, name], route, seat)
    if np.array_equal(weights, run.configuration.weights):
        return run
    return replace(run, configuration=replace(run.configuration, weights=weights))
