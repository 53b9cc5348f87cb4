"""Stochastic bit streams step by step, in the words of a textbook: no words, no popcounts.

Draws are those of `seeding.uniform` and of its generator, taken one step at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from spikewright import seeding

WORD = 32


def uniform(stream: int, step: int, neurons: int) -> np.ndarray:
    """The numbers of a layer at a step."""
    samples = torch.tensor([stream], dtype=torch.int64)
    return seeding.uniform(0, samples, step, 1, neurons)[0, 0].numpy()


def blocks(stream: int, first: int, second: int) -> list[int]:
    """Four words of 32 bits of the generator."""
    low, high = stream & 0xFFFFFFFF, stream >> 32
    words = (first, second, low, high, 0, 0)
    return [int(w) for w in seeding.philox(*(np.uint64(w) for w in words))]


def constant_bits(p: float, stream: int, neuron: int, steps: int) -> np.ndarray:
    """Bits with one probability: each step's number has 24 places, drawn for a word of steps."""
    level = int(np.floor(float(np.float32(p)) * 2**24 + 0.5))
    found = np.zeros(steps)
    for chunk in range(-(-steps // WORD)):
        places = [w for slab in range(6) for w in blocks(stream, neuron, 8 * chunk + slab)]
        for bit in range(min(WORD, steps - chunk * WORD)):
            number = 0
            for word in places:
                number = 2 * number + ((word >> bit) & 1)
            found[chunk * WORD + bit] = number < level
    return found


@dataclass
class Layer:
    """Weights (out, in) and bias into a layer, and where its random streams begin."""

    weight: np.ndarray
    bias: np.ndarray
    streams: tuple[int, int]


@dataclass
class Stepwise:
    """What one sample did: streams (steps, neurons) of each layer, and coincidences."""

    spikes: list[np.ndarray]
    raised: list[np.ndarray]
    lowered: list[np.ndarray]

    def coincidences(self, errors: list[np.ndarray], layer: int, warm_up: int) -> np.ndarray:
        """(out, in): the steps at which an error of ``layer`` meets a spike of the one before."""
        return errors[layer][warm_up:].T @ self.spikes[layer - 1][warm_up:]


def causal(
    x: np.ndarray, layers: list[Layer], label: int, plan: Mapping[str, Any], first: int, steps: int
) -> Stepwise:
    """One sample, one step after the other, in float32 as the kernel.

    Args:
        x: constant probabilities (inputs,).
        plan: ``scale`` of hidden errors, ``least`` weight of a new input in a mean.
        first: where the input's stream begins.
    """
    f = np.float32
    sizes = [len(x), *(len(layer.bias) for layer in layers)]
    made = Stepwise(*([np.zeros((steps, n)) for n in sizes] for _ in range(3)))
    for i, p in enumerate(x):
        made.spikes[0][:, i] = constant_bits(p, first, i, steps)
    z = [np.zeros(n, f) for n in sizes]
    d = [np.zeros(n, f) for n in sizes]
    for t in range(steps):
        gain = max(f(1) / f(t + 1), f(plan["least"]))
        for k, layer in enumerate(layers, 1):
            current = layer.weight @ made.spikes[k - 1][t].astype(f) + layer.bias
            z[k] += (current - z[k]) * gain
            u = uniform(layer.streams[0], t, sizes[k])
            if k < len(layers):
                made.spikes[k][t] = u < z[k]
            else:
                winner = int(np.argmin(np.log(-np.log(u.astype(float))) - z[k]))
                made.spikes[k][t, winner] = 1
                made.raised[k][t, winner] = winner != label
                made.lowered[k][t, label] = winner != label
        for k in range(len(layers) - 1, 0, -1):
            above, scale = k + 1, f(1 if k + 1 == len(layers) else plan["scale"])
            e = (made.raised[above][t] - made.lowered[above][t]).astype(f)
            d[k] += (scale * (layers[k].weight.T @ e) - d[k]) * gain
            u = uniform(layers[k - 1].streams[1], t, sizes[k])
            hit = (u * f(plan["scale"]) < abs(d[k])) & (z[k] > 0) & (z[k] < 1)
            made.raised[k][t] = hit & (d[k] > 0)
            made.lowered[k][t] = hit & (d[k] < 0)
    return made
