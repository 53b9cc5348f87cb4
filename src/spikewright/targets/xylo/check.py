"""All that keeps a network from a chip, at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from spikewright.compiler.discrete import (
    INPUT,
    Affine,
    DelayedProduct,
    DiscreteProgram,
    Maximum,
    Neurons,
    Node,
)
from spikewright.compiler.target import Broken
from spikewright.engine.program import Convolution, MatrixProduct
from spikewright.targets.core.wiring import MOST_ENTRIES, Path, layers, neurons, paths
from spikewright.targets.xylo.chips import (
    MOST_DASH,
    MOST_FAN_OUT,
    MOST_HIDDEN,
    MOST_OUT,
    Chip,
)
from spikewright.targets.xylo.lowering.wanted import (
    Wanted,
    aliased,
    delay,
    direct,
    is_linear,
    lag_of,
    wanted,
)

SPIKING = ("CubaLIF", "MultiSynapseLIF")
READOUT = "CubaLI"
_OPERATIONS: dict[type, tuple[str, str]] = {
    Affine: (
        "a scale or shift of values",
        "Fold it into the weights before it: put the batch norm right behind a product.",
    ),
    Maximum: ("a maximum over windows", "Use SumPool2d or AvgPool2d, which become weights."),
    DelayedProduct: ("a delay for each synapse", "Use Linear and several synaptic currents."),
}


def faults(program: DiscreteProgram, chip: Chip, aliases: bool = True) -> list[Broken]:
    """All limits that a program breaks before any code is chosen, with or without aliases."""
    found = [*_operations(program), *_models(program), *_biases(program), *_joins(program)]
    if not found:
        want = wanted(program)
        found += [*_times(want), *_arrivals(want), *_sizes(want, chip), *_fan_outs(want, aliases)]
    return found


def used(program: DiscreteProgram, chip: Chip, aliases: bool = True) -> dict[str, float]:
    """How much of the limits a program takes; nothing if the chip cannot hold its kind."""
    if faults(program, chip, aliases):
        return {}
    want = wanted(program)
    return {
        "inputs": want.inputs,
        "hidden": sum(map(len, want.hidden)),
        "outputs": len(want.out),
        "synapses": max(layer.synapses for layer in want.hidden),
        "fan-out": max(int(count.max()) for count in fan_out(want, aliases).values()),
    }


def fan_out(want: Wanted, aliases: bool) -> dict[str, Any]:
    """By hidden layer, how many hidden neurons each of its neurons reaches by its own weights."""
    places, total = want.places, sum(map(len, want.hidden))
    reached = {layer.name: np.zeros((len(layer), total), dtype=bool) for layer in want.hidden}
    for link in direct(want, aliased(want) if aliases else {}):
        if link.source != INPUT and link.target in places:
            reached[link.source][:, places[link.target]] |= (link.weights != 0).any(0)
    return {name: them.sum(1) for name, them in reached.items()}


def _operations(program: DiscreteProgram) -> Iterator[Broken]:
    have = "delays of whole steps and one weight for each pair of neurons"
    for node in program.nodes:
        for kind, (what, way) in _OPERATIONS.items():
            if isinstance(node.operation, kind):
                yield Broken(node.name, "operations", what, have, way)
    for path in paths(program):
        if delay(program, path) is None:
            way = "Use one delay of whole steps for all channels."
            yield Broken(path.target, "operations", "delays that differ", have, way)


def _models(program: DiscreteProgram) -> Iterator[Broken]:
    for node in layers(program):
        it, last = neurons(node), node.name == program.output
        known = (*SPIKING, READOUT) if last else SPIKING
        if it.model not in known:
            way = f"Use {' or '.join(SPIKING)}, and {READOUT} for the last layer."
            yield Broken(node.name, "neuron model", it.model, " and ".join(known), way)
            continue
        yield from _options(node, it, MOST_OUT if last else MOST_HIDDEN)
        leak = next(v for k, v in it.coefficients.items() if k.endswith("v_leak"))
        if bool((leak != 0).any()):
            way = "Use v_leak=0."
            yield Broken(
                node.name, "rest", "a v_leak other than 0", "membranes that rest at 0", way
            )
        if it.spiking and bool((it.coefficients["v_threshold"] <= 0).any()):
            have, way = "thresholds above 0", "Raise v_threshold."
            yield Broken(node.name, "threshold", "a threshold of 0 or less", have, way)


def _options(node: Node, it: Neurons, most: int) -> Iterator[Broken]:
    options = it.options
    if options.get("order", "exact") != "exact":
        way = "Use order='exact'."
        yield Broken(node.name, "order", f"order={options['order']!r}", "the exact order", way)
    if it.noise or options.get("refractory"):
        way = "Use noise=0.0 and refractory=0.0."
        yield Broken(node.name, "options", "noise or a refractory period", "neither", way)
    wanted_firing = {"reset": "subtract", "max_spikes": most, "inclusive": True}
    other = [
        f"{k}={options[k]!r}"
        for k, value in wanted_firing.items()
        if it.spiking and options[k] != value
    ]
    if other:
        have = f"spikes where v reaches multiples of the threshold, {most} a step, subtracted"
        way = f"Use firing=sw.Firing(reset='subtract', max_spikes={most}, inclusive=True)."
        yield Broken(node.name, "firing", ", ".join(other), have, way)


def _biases(program: DiscreteProgram) -> Iterator[Broken]:
    for node in program.nodes:
        operation = node.operation
        if isinstance(operation, MatrixProduct | Convolution) and operation.bias is not None:
            have, way = "currents from spikes alone", "Use bias=False."
            yield Broken(node.name, "bias", "a bias on a current", have, way)


def _joins(program: DiscreteProgram) -> Iterator[Broken]:
    hidden = [node for node in layers(program) if node.name != program.output]
    if not isinstance(program.node(program.output).operation, Neurons):
        have, way = "neurons", f"End the network in {SPIKING[0]} or {READOUT}."
        yield Broken(program.output, "output", "an output other than neurons", have, way)
        return
    if not hidden:
        have, way = "hidden neurons before the outputs", "Put a layer of neurons before it."
        yield Broken(program.output, "layers", "outputs alone", have, way)
    for path in paths(program):
        if path.source == program.output:
            have, way = "outputs that lead nowhere", "Let another layer be the last one."
            yield Broken(path.target, "outputs", "spikes of the output layer", have, way)
        if path.source == INPUT and path.target == program.output:
            have, way = "outputs that hidden neurons reach", "Put a layer of neurons between."
            yield Broken(path.target, "outputs", "the input at the outputs", have, way)
        if not is_linear(program, path):
            continue  # named before
        entries = _entries(program, path)
        if entries > MOST_ENTRIES:
            have, way = f"{MOST_ENTRIES:,}", "Use smaller layers."
            yield Broken(path.target, "unrolled matrix", f"{entries:,} entries", have, way)


def _entries(program: DiscreteProgram, path: Path) -> int:
    first = program.shape if path.source == INPUT else program.node(path.source).shape
    sizes = [math.prod(first), *(math.prod(program.node(name).shape) for name in path.nodes)]
    return sizes[0] * max(sizes)


def _times(want: Wanted) -> Iterator[Broken]:
    longest = 1 - 0.5 ** (MOST_DASH + 0.5)
    for layer in (*want.hidden, want.out):
        if max(layer.decay_mem.max(), layer.decay_syn.max()) > longest:
            steps = f"{-1 / math.log(longest):,.0f} steps"
            way = "Use shorter time constants, or a longer dt."
            yield Broken(layer.name, "time constant", f"more than {steps}", f"{steps}", way)


def _arrivals(want: Wanted) -> Iterator[Broken]:
    for link in want.links:
        lag = lag_of(link, want.lags)
        early = link.steps != 1 if lag is None else lag < 0
        if early:
            need = f"{link.steps} steps from {link.source!r}"
            have = "spikes that take one step to the next neurons, and none from the input"
            yield Broken(link.target, "delays", need, have, "Leave the delay out.")


def _sizes(want: Wanted, chip: Chip) -> Iterator[Broken]:
    first, out = want.hidden[0].name, want.out
    if want.inputs > chip.inputs:
        way = "Use fewer channels of the front end, or add some of them up."
        yield Broken(first, "inputs", f"{want.inputs:,} channels", f"{chip.inputs}", way)
    total = 0
    for layer in want.hidden:
        total += len(layer)
        if total > chip.hidden:
            so_far = "" if total == len(layer) else f", {total:,} with the layers before it"
            need, way = f"{len(layer):,} neurons{so_far}", "Make the layers smaller."
            yield Broken(layer.name, "hidden", need, f"{chip.hidden:,}", way)
        if layer.synapses > chip.synapses:
            need, way = f"{layer.synapses} synaptic currents a neuron", "Use fewer tau_syn."
            yield Broken(layer.name, "synapses", need, f"{chip.synapses}", way)
    if len(out) > chip.outputs:
        way = "Use fewer classes, or a chip with more outputs."
        yield Broken(out.name, "outputs", f"{len(out):,} neurons", f"{chip.outputs}", way)
    if out.synapses > 1:
        way = "Use CubaLIF or CubaLI for the last layer."
        yield Broken(out.name, "synapses", f"{out.synapses} currents an output", "1", way)


def _fan_outs(want: Wanted, aliases: bool) -> Iterator[Broken]:
    for name, count in fan_out(want, aliases).items():
        if count.max() > MOST_FAN_OUT:
            need, way = f"{count.max():,} targets a neuron", "Use smaller layers or sparse weights."
            yield Broken(name, "fan-out", need, f"{MOST_FAN_OUT}", way)
