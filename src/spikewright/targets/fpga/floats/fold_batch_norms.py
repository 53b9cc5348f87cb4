"""Batch norms, and other lines y = gain x + shift, put into the products around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from spikewright.compiler.target import Broken
from spikewright.targets.fpga.floats.carry_norm import Stuck, carried, into_product
from spikewright.targets.fpga.floats.network import (
    BatchNorm,
    FloatNetwork,
    FloatOperation,
    FloatStage,
)
from spikewright.targets.fpga.floats.refuse import refuse
from spikewright.targets.fpga.floats.renamed import renamed
from spikewright.targets.fpga.integer import INPUT, Convolution, Dense


def fold_batch_norms(network: FloatNetwork) -> FloatNetwork:
    """The same function without batch norms: weight' = gain weight, bias' = gain bias + shift.

    gain = norm.weight / sqrt(variance + eps), shift = norm.bias - mean gain. A norm that stands
    behind something else goes into the products behind it, weight' = weight gain, bias' = bias +
    weight shift; or it becomes a convolution of each channel by itself, kernel 1.

    Raises:
        CompileError: a norm that no product can take; or behind it are only products that cannot.

    >>> import torch
    >>> one = torch.ones(1, dtype=torch.float64)
    >>> norm = BatchNorm(2 * one, one, one, 3 * one, 1.0)
    >>> stages = (FloatStage("a", ("input",), Dense(one[None], one)), FloatStage("b", ("a",), norm))
    >>> folded = fold_batch_norms(FloatNetwork((1,), stages)).stages[0].operation
    >>> folded.weight.item(), folded.bias.item()
    (1.0, 1.0)
    """
    network = _folded_back(network)
    broken: list[Broken] = []
    for norm in [one for one in network.stages if isinstance(one.operation, BatchNorm)]:
        network, faults = _folded_on(network, network.by_name[norm.name])
        broken += faults
    refuse("fpga.fold_batch_norms", broken)
    return network


def _folded_back(network: FloatNetwork) -> FloatNetwork:
    """Those right behind a product, or another norm, are part of it."""
    stages: dict[str, FloatStage] = {}
    names: dict[str, str] = {}
    for given in network.stages:
        stage = renamed(given, names)
        source = stage.inputs[0]
        alone = len(network.users[given.inputs[0]]) == 1 and source != INPUT
        before = stages[source].operation if alone else None
        if isinstance(given.operation, BatchNorm) and isinstance(
            before, Convolution | Dense | BatchNorm
        ):
            stages[source] = replace(stages[source], operation=_folded(before, given.operation))
            names[stage.name] = source
        else:
            stages[stage.name] = stage
    return FloatNetwork(network.shape, tuple(stages.values()))


def _folded(before: Convolution | Dense | BatchNorm, norm: BatchNorm) -> FloatOperation:
    gain, shift = norm.line()
    if isinstance(before, BatchNorm):
        first, bias = before.line()
        return BatchNorm(gain * first, gain * bias + shift, 0 * gain, torch.ones_like(gain), 0.0)
    each = (-1, *(1 for _ in before.weight.shape[1:]))
    return replace(before, weight=before.weight * gain.view(each), bias=before.bias * gain + shift)


def _folded_on(network: FloatNetwork, stage: FloatStage) -> tuple[FloatNetwork, Sequence[Broken]]:
    """One norm put into what is behind it, or else what keeps it from that."""
    norm = stage.operation
    assert isinstance(norm, BatchNorm)
    try:
        lines = carried(network, stage.name, *norm.line())
    except Stuck as stuck:
        if len(network.shapes[stage.name]) == 3 and _before_relu(network, stage):
            return _put(network, stage, replace(stage, operation=_by_channel(norm))), ()
        have = "those right behind a product, or right before products without padding"
        return network, [Broken(stage.name, "batch norms", stuck.need, have, stuck.way)]
    changed = {name: into_product(network.by_name[name], *each) for name, each in lines.items()}
    names = {stage.name: stage.inputs[0]}
    kept = (renamed(changed.get(one.name, one), names) for one in network.stages)
    return FloatNetwork(network.shape, tuple(one for one in kept if one.name != stage.name)), ()


def _before_relu(network: FloatNetwork, stage: FloatStage) -> bool:
    """Whether the norm's own values can be kept: a ReLU cuts them, an addition takes them."""
    users = network.users[stage.name]
    return not any(isinstance(user.operation, Convolution | Dense) for user in users)


def _put(network: FloatNetwork, stage: FloatStage, other: FloatStage) -> FloatNetwork:
    return FloatNetwork(
        network.shape, tuple(other if one is stage else one for one in network.stages)
    )


def _by_channel(norm: BatchNorm) -> Convolution:
    gain, shift = norm.line()
    return Convolution(gain.view(-1, 1, 1, 1), shift, groups=len(gain))
