"""How many clocks each layer of the core is busy: a formula, which tests hold the RTL to."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spikewright.targets.fpga.lif.lanes import Lanes, groups
from spikewright.targets.fpga.lif.network import FixedLayer, FixedNetwork, Whole
from spikewright.targets.fpga.lif.pipeline import depth


def busy_clocks(network: FixedNetwork, x: ArrayLike, lanes: Lanes | None = None) -> Whole:
    """Clocks of work of each layer for each sample, (layers, batch).

    With G groups of lanes, E events that come in, S words that go out (spikes, or the numbers of
    a readout), T steps and D ranks of registers within a neuron, a sample takes

        G (E + S if recurrent) + T (G + D + 4) + S + G + 2

    whatever the streams do. With streams that never wait it takes one clock more a step, and one
    more at its end, to look for the next event.
    """
    chosen = lanes or Lanes()
    events = network.checked(x)
    found: list[Whole] = []
    for layer, ran, each in zip(network.layers, network.walk(x), chosen.of(network), strict=True):
        turns, steps = groups(layer, each), len(events)
        out = ran.outputs if layer.spiking else np.ones_like(ran.outputs)
        heard, told = events.sum((0, 2)), out.sum((0, 2))
        own = told if layer.back is not None else 0
        settled = steps * _settle_clocks(layer, turns)
        found.append(turns * (heard + own) + settled + told + turns + 2)
        events = out
    return np.stack(found)


def most_clocks(network: FixedNetwork, lanes: Lanes) -> int:
    """Clocks of the busiest layer in a step in which all lines and all neurons spike.

    Layers work at the same time on different steps, so with a step every so many clocks no event
    ever waits longer than that.
    """
    found: list[int] = []
    for layer, each in zip(network.layers, lanes.of(network), strict=True):
        turns, heard = groups(layer, each), layer.weight.shape[0] * (1 if found else network.spikes)
        own = layer.neurons if layer.back is not None else 0
        found.append(turns * (heard + own) + _settle_clocks(layer, turns) + layer.neurons + 1)
    return max(found)


def _settle_clocks(layer: FixedLayer, turns: int) -> int:
    """Of the end of a step, without those for what goes out.

    A group enters the neurons every clock. The last one's operands are in their registers after
    ``turns`` clocks, its answer ``depth`` + 1 later, and one more lets it leave; one before waits
    for the last sums, one behind tells that the step is over.
    """
    return turns + depth(layer.step) + 4
