"""Configurations at random: recurrent, with shifts, aliases and thresholds of all sizes."""

from __future__ import annotations

import numpy as np

from spikewright.targets.xylo.chips import CHIPS
from spikewright.targets.xylo.configuration import Configuration, Population, Shifts, Whole

THRESHOLDS = ((100, 400), (1, 20), (3000, 9000), (20_000, 32_768))
NAMES = tuple(CHIPS)


def configuration(seed: int, neurons: int = 12, inputs: int = 5, outputs: int = 3) -> Configuration:
    """Every third chip; aliases (chains too) with an odd seed, thresholds by the seed."""
    draw = np.random.default_rng(seed)
    chip = CHIPS[NAMES[seed % 3]]
    density, high = draw.uniform(0.1, 1.0), seed % 4 > 1
    most = 127 if high else int(draw.choice([2, 10, 40, 127]))

    def weights(*shape: int) -> Whole:
        return draw.integers(-most, most + 1, shape) * (draw.random(shape) < density)

    def cells(count: int, synapses: int) -> Population:
        return Population(
            draw.integers(1, 8, count),
            draw.integers(1, 8, (count, synapses)),
            draw.integers(*THRESHOLDS[seed % 4], count),
            draw.integers(-30, 30, count) * (chip.core > 1),
        )

    alias = np.full(neurons, -1)
    if seed % 2:
        for n in draw.choice(neurons, neurons // 3, replace=False):
            alias[n] = (n + draw.integers(1, neurons)) % neurons
    return Configuration(
        chip.name,
        1e-3,
        cells(neurons, chip.synapses),
        cells(outputs, 1),
        weights(chip.synapses, inputs, neurons),
        weights(chip.synapses, neurons, neurons),
        weights(neurons, outputs),
        Shifts(*draw.integers(4 if high else 0, 8, 3).tolist()),
        alias,
    )


def clips(seed: int, c: Configuration, steps: int = 60, batch: int = 2) -> Whole:
    """Events, (time, batch, inputs), up to 15 in a step."""
    draw = np.random.default_rng([seed, 1])
    shape = (steps, batch, c.inputs)
    return draw.integers(0, 16, shape) * (draw.random(shape) < 0.3)
