"""The three passes over a batch: spikes forwards, desires backwards, changes of the weights."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright.engine.native import native
from spikewright.engine.threads import run_ranges
from spikewright.errors import RuleError
from spikewright.learning.desire.chain import Chain

Array = NDArray[Any]
FIRE_TILE, TEACH_TILE = 128, 256
"""Neurons whose weights a kernel takes at a time, as in ``sources``."""


class Spikes(NamedTuple):
    """Of a batch, what went into each stage and came out of the last one.

    Attributes:
        steps: time steps.
        inputs: trains into each stage as bits, (batch, inputs, words) uint32, those of dropped
            neurons empty.
        outputs: trains of the last neurons, (batch, classes, words).
    """

    steps: int
    inputs: tuple[Array, ...]
    outputs: Array

    def after(self, stage: int) -> Array:
        """Trains of the neurons of a stage."""
        return self.inputs[stage + 1] if stage + 1 < len(self.inputs) else self.outputs


def counts(trains: Array) -> Array:
    """Spikes of each neuron, (batch, n) int64."""
    return np.bitwise_count(trains).sum(-1, dtype=np.int64)


def forward(chain: Chain, x: Tensor, dropped: dict[int, Array] | None = None) -> Spikes:
    """Run a batch through the network.

    Args:
        x: (time, batch, inputs): spikes, or currents for the neurons that come first.
        dropped: of the stages whose inputs are thinned out, which ones are, (batch, inputs) bool;
            the rest count for 1 / (1 - p).
    """
    steps, trains = len(x), _encode(chain, x)
    inputs: list[Array] = []
    kernel = native(__package__, "fire", chain.dtype).fire
    for place, stage in enumerate(chain.stages):
        scale, out = 1.0, (dropped or {}).get(place)
        if out is not None:
            trains = np.where(out[:, :, None], np.uint32(0), trains)
            scale = 1 / (1 - stage.dropout)
        inputs.append(trains)
        weight = stage.weight.detach().numpy()
        outputs = np.empty((len(trains), len(weight), trains.shape[2]), np.uint32)
        given = (weight, stage.cells, scale, steps, trains, outputs)
        tiles = -(-len(weight) // FIRE_TILE)
        run_ranges(partial(kernel, *given), tiles, steps * outputs.size)
        trains = outputs
    return Spikes(steps, tuple(inputs), trains)


def _encode(chain: Chain, x: Tensor) -> Array:
    """The input's spikes as bits."""
    kernels = native(__package__, "fire", chain.dtype)
    steps, batch, size = x.shape
    trains = np.empty((batch, size, -(-steps // 32)), np.uint32)
    values = x.detach().to(chain.stages[0].weight.dtype).numpy()
    if chain.encoder is not None:
        encode = partial(kernels.encode, values, chain.encoder[1], trains)
        run_ranges(encode, batch, steps * trains.size)
    elif not kernels.pack(values, trains):
        raise RuleError(
            "Desire: input must be spikes, zeros and ones, got other numbers. Encode the data, "
            "with sw.coding.Deterministic, say, or begin the network with IF neurons."
        )
    return trains


def backward(chain: Chain, stage: int, errors: Array, gate: float) -> Array:
    """Signs that the inputs of a stage get, (batch, inputs) int8, from its errors (batch, n)."""
    weight = chain.stages[stage].weight.detach().numpy()
    signs = np.empty((len(errors), weight.shape[1]), np.int8)
    sums = np.empty(signs.shape, chain.dtype)
    kernel = native(__package__, "teach", chain.dtype).desire
    errors = np.ascontiguousarray(errors, chain.dtype)
    given = (weight, errors, chain.dtype.type(gate), signs, sums)
    tiles = -(-weight.shape[1] // TEACH_TILE)
    run_ranges(partial(kernel, *given), tiles, np.count_nonzero(errors) * weight.shape[1])
    return signs


def learn(chain: Chain, stage: int, rate: float, signs: Array, spikes: Spikes) -> None:
    """Change the weights of a stage in place, by the signs of its neurons, (batch, n) int8."""
    inputs, outputs = spikes.inputs[stage], spikes.after(stage)
    batch, size = inputs.shape[:2]
    wanted = signs.any(1)
    if not wanted.any():
        return
    kernels = native(__package__, "teach", chain.dtype)
    traced = (
        np.empty((batch, size), np.int32),
        np.empty(batch, np.int64),
        np.empty((batch, spikes.steps, size), chain.dtype),
    )
    link = chain.stages[stage]
    decay = chain.dtype.type(link.cells[0])
    work = spikes.steps * inputs.size
    run_ranges(partial(kernels.trace, inputs, decay, wanted, *traced), batch, work)
    weight = link.weight.detach().numpy()
    given = (weight, chain.dtype.type(rate), signs, outputs, traced)
    run_ranges(partial(kernels.learn, *given), len(weight), np.count_nonzero(signs) * size)
    torch.autograd.graph.increment_version(link.weight)
