"""What keeps a float network, batch norms folded, from being worked out in spikes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from spikewright.compiler.target import Broken
from spikewright.targets.fpga.floats.network import (
    AveragePool,
    BatchNorm,
    FloatNetwork,
    FloatStage,
    ReLU,
)
from spikewright.targets.fpga.integer import Convolution, Dense, MaxPool

SPIKES = "spikes, which stand for 0 or more"


def signed(network: FloatNetwork) -> frozenset[str]:
    """The stages that may give negative values."""
    found: set[str] = set()
    for stage in network.stages:
        product = isinstance(stage.operation, Convolution | Dense | BatchNorm)
        handed_on = not isinstance(stage.operation, ReLU) and not found.isdisjoint(stage.inputs)
        if product or handed_on:
            found.add(stage.name)
    return frozenset(found)


def faults(network: FloatNetwork) -> list[Broken]:
    """All of them: negative values where spikes are needed, numbers that are not finite."""
    negative = signed(network)
    found: list[Broken] = []
    for stage in network.stages:
        found += [*_signs(network, stage, negative), *_numbers(stage)]
    return found


def _signs(network: FloatNetwork, stage: FloatStage, negative: frozenset[str]) -> Iterator[Broken]:
    source = stage.inputs[0]
    reads_spikes = isinstance(stage.operation, Convolution | Dense | MaxPool | AveragePool)
    if reads_spikes and source in negative:
        need = f"inputs that may be negative, from {source!r}"
        way = f"Put a ReLU right behind {source!r}; without one, two products are one product."
        yield Broken(stage.name, "signs", need, SPIKES, way)
    if isinstance(stage.operation, ReLU) and math.isfinite(stage.operation.most):
        yield from _clip(network, stage)
    if isinstance(stage.operation, ReLU) and len(network.users[source]) > 1:
        others = [user.name for user in network.users[source] if user is not stage]
        need = f"the values of {source!r} that {', '.join(map(repr, others))} reads as well"
        way = f"Let the others read the ReLU's output, or work {source!r} out twice."
        yield Broken(stage.name, "signs", need, "one reader of sums before a ReLU", way)


def _clip(network: FloatNetwork, stage: FloatStage) -> Iterator[Broken]:
    """A clip is the end of a range, and so belongs to what gets a range of its own."""
    before, relu = network.by_name.get(stage.inputs[0]), stage.operation
    assert isinstance(relu, ReLU)
    if before is None or not isinstance(before.operation, Convolution | Dense):
        need = f"a clip at {relu.most:g} of {stage.inputs[0]!r}, which is no product"
        way = "Use ReLU there: activations saturate at the calibrated range anyway."
        yield Broken(stage.name, "clips", need, "clips right behind a product", way)


def _numbers(stage: FloatStage) -> Iterator[Broken]:
    operation = stage.operation
    if not isinstance(operation, Convolution | Dense):
        return
    if not bool(operation.weight.isfinite().all() and operation.bias.isfinite().all()):
        way = "Train the network again: its training went out of bounds."
        yield Broken(stage.name, "numbers", "weights that are not finite", "numbers", way)
