"""What the circuits of a run are meant to do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spikewright.compiler.design import Design
from spikewright.compiler.discrete import Node
from spikewright.targets.brainscales2.chip import CIRCUITS, COLUMNS
from spikewright.targets.brainscales2.limits import MOST_POTENTIAL
from spikewright.targets.brainscales2.lowering.response import response, value
from spikewright.targets.brainscales2.lowering.scale import LEAK, SCALES, THRESHOLD, LayerScale
from spikewright.targets.brainscales2.lowering.timing import Clock
from spikewright.targets.brainscales2.lowering.wiring import layers, neurons
from spikewright.targets.brainscales2.settings import Settings, Wanted

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def seats(design: Design, run: int) -> Iterator[tuple[Node, Indices, Indices]]:
    """The layers of a run: node, which of its neurons, and on which circuits."""
    for node in layers(design.program):
        mine = [p for p in design.places if (p.piece.node, p.piece.run) == (node.name, run)]
        if mine:
            which = [np.arange(p.piece.first, p.piece.last) for p in mine]
            circuits = [p.core * COLUMNS + p.units for p in mine]
            yield node, np.concatenate(which), np.concatenate(circuits)


def wanted(design: Design, run: int, clock: Clock) -> Wanted:
    """What the circuits of a run are meant to do; those without a neuron, what the first does."""
    found: dict[str, Floats] = {}
    for node, which, circuits in seats(design, run):
        asked = _of_layer(node, design.extra[SCALES][node.name], design.program.dt, clock)
        for name, values in asked.items():
            column = found.setdefault(name, np.full(CIRCUITS, values[0]))
            column[circuits] = values[which]
    return Wanted(**found)


def _of_layer(node: Node, scale: LayerScale, dt: float, clock: Clock) -> dict[str, Floats]:
    """What is wanted of each neuron of a layer, by the names of `Wanted`."""
    answer, shrink = response(node, dt), clock.dt / dt
    leak = scale.lsb(value(node, "v_leak"))
    gain = answer.strength * scale.per_unit / scale.weight
    times = {
        "tau_mem": answer.tau_mem,
        "tau_syn_exc": answer.tau_syn,
        "tau_syn_inh": answer.tau_syn,
    }
    found = {
        "v_leak": leak,
        "v_reset": leak,
        "v_threshold": np.minimum(leak + THRESHOLD - LEAK, MOST_POTENTIAL),
        "gain_exc": gain,
        "gain_inh": gain,
        "refractory": np.zeros(len(leak)),
        **{name: tau * shrink for name, tau in times.items()},
    }
    if neurons(node).spiking:
        silence = float(neurons(node).options.get("refractory", 0.0)) * shrink + clock.early_reset
        found["v_reset"] = scale.lsb(value(node, "v_reset"))
        found["v_threshold"] = scale.lsb(value(node, "v_threshold"))
        found["refractory"] = np.full(len(leak), silence)
    return found


def reading(
    node: Node, scale: LayerScale, circuits: Indices, asked: Wanted, settings: Settings
) -> tuple[Floats, Floats]:
    """LSB of the potential 0, and LSB for a potential of 1, of each neuron that has a circuit.

    Potentials of a spiking layer are read between its leak and its threshold as they were
    measured, so that what fires is seen at the threshold; those of a readout in proportion to
    the strength of its synapses.
    """
    leak = settings.measured["v_leak"][circuits]
    if neurons(node).spiking:
        distance = asked.v_threshold[circuits] - asked.v_leak[circuits]
        ratio = (settings.measured["v_threshold"][circuits] - leak) / distance
    else:
        gains = settings.measured["gain_exc"] + settings.measured["gain_inh"]
        ratio = (gains / (asked.gain_exc + asked.gain_inh))[circuits]
    per_unit = scale.per_unit * ratio
    rest = (asked.v_leak[circuits] - scale.zero) / scale.per_unit
    return leak - rest * per_unit, per_unit
