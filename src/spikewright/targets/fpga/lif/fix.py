"""From a network in floating numbers to one in whole numbers: its formats, and what is rounded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikewright.compiler.design import Design
from spikewright.compiler.discrete import DiscreteProgram
from spikewright.compiler.passes.discretise import discretise
from spikewright.compiler.passes.fold import Fold
from spikewright.compiler.software.reference import run_reference
from spikewright.errors import CompileError
from spikewright.network import Network
from spikewright.targets.fpga.lif.layers import SpikingLayer, layers_of
from spikewright.targets.fpga.lif.lower_step import Places, lower_step
from spikewright.targets.fpga.lif.network import FixedLayer, FixedNetwork, Whole
from spikewright.targets.fpga.lif.operations import Range
from spikewright.targets.fpga.lif.settings import FixedPoint
from spikewright.targets.fpga.lif.weights import weight_places, whole
from spikewright.targets.fpga.lif.writer import Vanishes


class Points(NamedTuple):
    """Binary places of a layer's state and of its weights."""

    fraction: int
    places: int


HEADROOM = 2.0
"""What is left above the largest state of the calibration."""


def fix(
    network: Network, settings: FixedPoint | None = None, calibration: Tensor | None = None
) -> FixedNetwork:
    """The network in whole numbers, from the same traced steps as any other run of it.

    A state v is held as q 2^-f. Without a calibration f is the largest for which no input can
    drive a state out of its range; with one it follows from the largest state of that sample,
    twofold, and states that leave the range all the same are cut to it and counted.

    Args:
        network: `Linear` layers, each followed by neurons, recurrent or not; see `layers_of`.
        calibration: input, (time, batch, features).

    Raises:
        CompileError: a layer that the core cannot run, or no format would do; says which.

    >>> import torch, spikewright as sw
    >>> net = sw.Sequential(sw.Linear(4, 3), sw.Recurrent(sw.LIF()), dt=1e-3)
    >>> fixed = fix(net)
    >>> fixed.run(torch.ones(5, 2, 4)).shape, fixed.layers[0].proved
    ((5, 2, 3), True)
    """
    with torch.no_grad():
        program = Fold().apply(Design(discretise(network))).program
        return fix_program(program, settings or FixedPoint(), calibration)


def fix_program(
    program: DiscreteProgram, settings: FixedPoint, calibration: Tensor | None = None
) -> FixedNetwork:
    """As `fix`, of a folded program."""
    layers = layers_of(program)
    largest = {} if calibration is None else _largest(program, calibration)
    made: list[FixedLayer] = []
    for place, layer in enumerate(layers):
        most = settings.spikes if place == 0 else 1
        seen = largest.get(layer.name)
        if seen is not None:  # whatever the sample, a membrane may come near its threshold
            seen = max(seen, abs(layer.constants.get("v_threshold", 0.0)))
        tried = _candidates(settings, seen)
        made.append(_fixed(layer, settings, most, list(tried), seen is None))
    return FixedNetwork(program.shape[0], settings.spikes, tuple(made))


def fix_like(
    program: DiscreteProgram, settings: FixedPoint, points: Mapping[str, Points]
) -> FixedNetwork:
    """A folded program on binary points that were chosen before, by layer; see `points_of`.

    Raises:
        CompileError: a layer that the core cannot run, or that these points will not do for.
    """
    made: list[FixedLayer] = []
    for place, layer in enumerate(layers_of(program)):
        most = settings.spikes if place == 0 else 1
        made.append(_with_points(layer, settings, most, points[layer.name]))
    return FixedNetwork(program.shape[0], settings.spikes, tuple(made))


def points_of(network: FixedNetwork) -> dict[str, Points]:
    """Where the binary points of a network are, by layer."""
    return {layer.name: Points(layer.fraction, layer.places) for layer in network.layers}


def _largest(program: DiscreteProgram, calibration: Tensor) -> dict[str, float]:
    """By layer, the largest magnitude that a state field takes; float64, so nothing to compile."""
    states = run_reference(program, calibration.detach().double().numpy()).states
    return {
        name: max(float(np.abs(values).max()) for values in fields.values())
        for name, fields in states.items()
    }


def _candidates(settings: FixedPoint, largest: float | None) -> Iterator[int]:
    """Binary places to try, the most first."""
    most = 2 ** (settings.membrane - 1) - 1
    if largest is None:
        yield from range(settings.membrane + 8, -17, -1)
    else:
        yield math.floor(math.log2(most / max(HEADROOM * largest, 2.0**-16)))


def _fixed(
    layer: SpikingLayer, settings: FixedPoint, most: int, tried: list[int], proof: bool
) -> FixedLayer:
    """The layer with the first of the binary places that will do."""
    for fraction in tried:
        if proof and _initial_overflows(layer, settings, fraction):
            continue
        try:
            made = _with_points(layer, settings, most, _points(layer, settings, fraction))
        except Vanishes:
            if not proof:
                raise
            break
        if made.proved or not proof:
            return made
    raise CompileError(
        f"fpga.lif: states of layer {layer.name!r} must have a bound that holds for every input, "
        f"got none in {settings.membrane} bits. Pass a calibration sample: states are then cut to "
        "the range it needs, and counted."
    )


def _initial_overflows(layer: SpikingLayer, settings: FixedPoint, fraction: int) -> bool:
    values = [float(v.abs().max()) for v in layer.neurons.initial.values()]
    return max(values) * 2.0**fraction >= 2 ** (settings.membrane - 1) - 1


def _points(layer: SpikingLayer, settings: FixedPoint, fraction: int) -> Points:
    matrices = [layer.weight] if layer.back is None else [layer.weight, layer.back]
    return Points(fraction, min(weight_places(matrices, settings.weight, layer.name), fraction))


def _with_points(
    layer: SpikingLayer, settings: FixedPoint, most: int, points: Points
) -> FixedLayer:
    fraction, places = points
    weight = whole(layer.weight, settings.weight, places).T
    back = None if layer.back is None else whole(layer.back, settings.weight, places).T
    bias = np.floor(layer.bias.numpy() * 2.0**fraction + 0.5).astype(np.int64)
    biases = int(bias.min()), int(bias.max())
    where = Places(fraction, places, sum_range(weight, back, most), biases)
    step = lower_step(layer.name, layer.neurons, layer.step, layer.constants, where, settings)
    return FixedLayer(
        name=layer.name,
        weight=weight,
        back=back,
        bias=bias,
        step=step,
        bits=settings.weight,
        fraction=fraction,
        places=places,
        spiking=layer.neurons.spiking,
    )


def sum_range(weight: Whole, back: Whole | None, most: int) -> Range:
    """What no sum of any neuron exceeds, with up to ``most`` spikes on each input.

    >>> sum_range(np.array([[3, -1], [2, -2]]), None, 1)
    (-3, 5)
    """
    rows = weight * most if back is None else np.concatenate([weight * most, back])
    low, high = np.minimum(rows, 0).sum(0).min(), np.maximum(rows, 0).sum(0).max()
    return int(low), int(high)
