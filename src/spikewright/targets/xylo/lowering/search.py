"""The pass that picks scales and shifts: those with which the twin is nearest to the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from spikewright.compiler.design import Design
from spikewright.compiler.discrete import INPUT, DiscreteProgram, MatrixProduct, Node
from spikewright.compiler.formats import Fixed, Spikes, quantised
from spikewright.compiler.software.observe import observe
from spikewright.engine.forward import Observation
from spikewright.errors import CompileError
from spikewright.targets.xylo.check import faults
from spikewright.targets.xylo.chips import (
    MOST_IN,
    MOST_SHIFT,
    MOST_STATE,
    MOST_WEIGHT,
    Chip,
)
from spikewright.targets.xylo.configuration import Shifts
from spikewright.targets.xylo.cycles import estimate
from spikewright.targets.xylo.lowering.configure import Choice, configure, dash, factor
from spikewright.targets.xylo.lowering.wanted import (
    Floats,
    Layer,
    Link,
    Wanted,
    aliased,
    direct,
    wanted,
)
from spikewright.targets.xylo.running import counts, run_aligned
from spikewright.targets.xylo.twin.twin import Twin
from spikewright.units import format_seconds

Per = Literal["global", "channel"]
CHOICE = "xylo"
"""The place of the `Choice` in a design's ``extra``."""
SAMPLES = 32
NEAR = 0.01
"""Change of what a step loses that goes without saying."""
ROOM = 0.7
"""Of the range of 16 bits, what the outputs of the sample may take."""

Seen = Mapping[str, Observation]


@dataclass(frozen=True, eq=False)
class Search:
    """Choose codes for weights and thresholds by running the twin.

    Each pair of shifts of input and recurrent weights gives the largest scale with which weights
    fit 8 bits and thresholds 16; larger states decay more evenly, until they saturate. Of all
    pairs, the one is taken whose twin counts spikes most like the network in floating numbers:
    sum of |difference of counts| / sum of counts, over hidden neurons. Outputs get the largest
    shift with which their states stay within 70 % of the range.

    Args:
        calibration: (time, batch, *features).
        chip: the chip.
        per: ``"global"``, one scale for all hidden neurons and one for all outputs, or
            ``"channel"``, one for each neuron.
        aliases: whether layers whose targets are shared become aliases.
    """

    calibration: Tensor
    chip: Chip
    per: Per = "global"
    aliases: bool = True

    @property
    def name(self) -> str:
        return "search"

    def apply(self, design: Design) -> Design:
        """Set the choice, and the formats that follow from it."""
        program = replace(design.program, input_format=Spikes(MOST_IN))
        if faults(program, self.chip, self.aliases):
            return design.noting(program=program)  # check says why
        want = wanted(program)
        sample = quantised(self.calibration[:, :SAMPLES], program.input_format)
        seen, x = observe(program, sample).seen, sample.flatten(2)
        alias = aliased(want) if self.aliases else {}
        scale_out, shift_out = _scale_of_outputs(want, seen, self.per)
        best: tuple[float, Choice, Twin] | None = None
        for scale, first, second in _scales(want, direct(want, alias), self.per):
            shifts = Shifts(first, second, shift_out)
            choice = Choice(scale, scale_out, shifts, alias)
            try:
                twin = Twin(configure(want, choice, self.chip.name, program.dt)[0])
            except CompileError:
                continue  # a threshold is no code at this scale
            error = _error(twin, want, x, seen)
            if best is None or error < best[0]:
                best = error, choice, twin
        if best is None:
            return design.noting(program=program)
        error, choice, twin = best
        made = replace(program, nodes=_with_formats(program, want, choice))
        notes = _notes(want, choice, error, twin, x)
        return design.noting(*notes, program=made, extra={**design.extra, CHOICE: choice})


def _scales(want: Wanted, links: Sequence[Link], per: Per) -> Iterator[tuple[Floats, int, int]]:
    """Scales of the hidden neurons with the two shifts that they need, none of them twice."""
    most_in = _largest(want, [it for it in links if it.source == INPUT], per)
    most_rec = _largest(want, [it for it in links if it.source != INPUT], per)
    thresholds = np.concatenate([layer.threshold for layer in want.hidden])
    bound = MOST_STATE / _together(thresholds, per)
    seen: set[bytes] = set()
    for total in range(2 * MOST_SHIFT + 1):
        for first in range(max(0, total - MOST_SHIFT), min(total, MOST_SHIFT) + 1):
            second = total - first
            with np.errstate(divide="ignore"):
                limits = 2.0**first / most_in, 2.0**second / most_rec
            scale = np.minimum(np.minimum(*limits) * MOST_WEIGHT, bound)
            if scale.tobytes() not in seen:
                seen.add(scale.tobytes())
                yield scale, first, second


def _largest(want: Wanted, links: list[Link], per: Per) -> Floats:
    """The largest weight that reaches each hidden neuron, times its factor; of all, if global."""
    found = np.zeros(sum(map(len, want.hidden)))
    layers = {layer.name: layer for layer in want.hidden}
    for link in links:
        if link.target in layers:
            each = np.abs(link.weights * factor(layers[link.target]).T[:, None]).max((0, 1))
            place = want.places[link.target]
            found[place] = np.maximum(found[place], each)
    return _together(found, per)


def _together(each: Floats, per: Per) -> Floats:
    """Numbers of neurons, or for one scale of all the largest of them."""
    return each if per == "channel" else np.full_like(each, each.max(initial=0.0))


def _scale_of_outputs(want: Wanted, seen: Seen, per: Per) -> tuple[Floats, int]:
    """The scale of each output, and the shift of the weights that lead there."""
    out = want.out
    weights = sum(np.abs(it.weights[0]) for it in want.links if it.target == out.name)
    largest = (weights * factor(out)[:, 0]).max(0)
    needed = peak(want.out, seen) / ROOM
    if out.spiking:
        needed = np.maximum(needed, out.threshold)
    largest, needed = _together(largest, per), _together(needed, per)
    with np.errstate(divide="ignore"):
        room = np.where(needed > 0, MOST_STATE / needed, 1.0)
        full = MOST_WEIGHT / largest
    fits = [s for s in range(MOST_SHIFT + 1) if bool((full * 2.0**s <= room).all())]
    shift = max(fits, default=0)
    return np.minimum(full * 2.0**shift, room), shift


def peak(out: Layer, seen: Seen) -> Floats:
    """The largest current or membrane of each output in the sample, in units of the membrane.

    What a membrane gains in a step is its current there.
    """
    it = seen[out.name]
    assert it.v is not None
    v = it.v.double().flatten(2).numpy()
    reached, most = v, np.abs(v).max((0, 1))
    if out.spiking:
        assert it.spikes is not None
        reached = v + it.spikes.double().flatten(2).numpy() * out.threshold
        most = most + out.threshold
    before = np.concatenate([np.zeros((1, *v.shape[1:])), v[:-1]])
    gained = np.abs(reached - out.decay_mem * before).max((0, 1))
    return np.maximum(most, gained / (1 - 0.5 ** dash(out.decay_syn[:, 0])))


def _error(twin: Twin, want: Wanted, x: Tensor, seen: Seen) -> float:
    found, *_ = run_aligned(twin, want, x, exact=False)
    wrong = total = 0.0
    for layer in want.hidden:
        spikes = seen[layer.name].spikes
        assert spikes is not None
        real = spikes.sum(0).flatten(1).double()
        wrong += float((counts(found, layer.name).double() - real).abs().sum())
        total += float(real.sum())
    return wrong / max(total, 1.0)


def _with_formats(program: DiscreteProgram, want: Wanted, choice: Choice) -> tuple[Node, ...]:
    """Weights in 8 bits where one product, and nothing else, lies between two layers."""
    layers = {layer.name: layer for layer in (*want.hidden, want.out)}
    formats: dict[str, list[Floats]] = {}
    for link in want.links:
        layer = layers[link.target]
        hidden = link.target != want.out.name
        scale = choice.scale[want.places[link.target]] if hidden else choice.scale_out
        shift = choice.shifts[2 if not hidden else 0 if link.source == INPUT else 1]
        step = (2.0**shift / (scale[:, None] * factor(layer))).reshape(-1, 1)
        for name in link.way:
            formats.setdefault(name, []).append(step if len(link.way) == 1 else np.zeros(0))
    nodes: list[Node] = []
    for node in program.nodes:
        steps = formats.get(node.name, [])
        one = bool(steps) and all(np.array_equal(it, steps[0]) for it in steps)
        if isinstance(node.operation, MatrixProduct) and one and steps[0].size:
            dtype = node.operation.weight.dtype
            fixed = Fixed(8, torch.from_numpy(steps[0]).to(dtype))
            node = replace(node, weight_format=fixed)  # noqa: PLW2901 - the node that is kept
        nodes.append(node)
    return tuple(nodes)


def _rounded(layer: Layer) -> float:
    """By how much the decays of a layer change at most, as a share of what a step loses."""
    lost = 1 - np.concatenate([layer.decay_mem[:, None], layer.decay_syn], axis=1)
    codes = np.concatenate([dash(layer.decay_mem)[:, None], dash(layer.decay_syn)], axis=1)
    return float(np.abs(0.5**codes / lost - 1).max())


def _notes(want: Wanted, choice: Choice, error: float, twin: Twin, x: Tensor) -> list[str]:
    shifts, dt = choice.shifts, twin.configuration.dt
    lag = want.lags[want.out.name]
    found = [
        f"xylo: weights of inputs, hidden neurons and outputs are shifted by {shifts.input}, "
        f"{shifts.recurrent} and {shifts.output} bits; counts of hidden spikes differ by "
        f"{100 * error:.2g} % on the sample",
        f"xylo: what the chip puts out comes {lag} steps ({format_seconds(lag * dt)}) after its "
        "input; it is shown on the network's own clock",
    ]
    late = [(link, want.late(link)) for link in want.links]
    found += [
        f"xylo: spikes of {link.source!r} reach {link.target!r} {steps} steps later than in the "
        "network, as their way is longer than another one"
        for link, steps in late
        if steps
    ]
    found += [
        f"xylo: decays of {layer.name!r} become shifts of bits, off by up to {100 * off:.0f} %: "
        "round time constants before training, with sw.models.bit_shift_tau"
        for layer in (*want.hidden, want.out)
        if (off := _rounded(layer)) > NEAR
    ]
    found += [
        f"xylo: {other!r} hands on the spikes of {layer!r} (alias)"
        for layer, other in choice.alias.items()
    ]
    return [*found, f"xylo: {estimate(twin, x)}"]
