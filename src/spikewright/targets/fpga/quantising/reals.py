"""The network in real numbers that a quantised one was rounded from, stage by stage."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    Operation,
    Stage,
    SumPool,
)
from spikewright.targets.fpga.quantising.quantised import Quantised
from spikewright.targets.fpga.walk import walk


def real_values(made: Quantised, x: Tensor) -> Iterator[tuple[Stage, Tensor]]:
    """What each stage gives in real numbers, float64: the same stages, nothing rounded or cut off.

    After `convert` this is the trained module itself, batch norms folded; after `fine_tune` it is
    the network with the weights that were trained on.

    Args:
        x: inputs in real numbers, (batch, *features).

    >>> import torch
    >>> from torch import nn
    >>> from spikewright.targets.fpga.convert import convert
    >>> _ = torch.manual_seed(0)
    >>> net, x = nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.rand(9, 4)
    >>> *_, (stage, values) = real_values(convert(net, x), x)
    >>> stage.name, bool((values - net(x)).abs().max() < 1e-6)
    ('_0', True)
    """
    network = made.network
    scales = {INPUT: network.scale} | {stage.name: stage.scale for stage in network.stages}

    def work(stage: Stage, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        out = _real(made, stage).accumulate(inputs) * _share(stage, scales[stage.inputs[0]])
        if stage.requantise is not None:
            out = out.clamp(0, made.clips.get(stage.name, math.inf))
        return out, out

    return walk(network.stages, {INPUT: x.reshape(len(x), *network.shape).double()}, work)


def _real(made: Quantised, stage: Stage) -> Operation:
    operation = stage.operation
    if isinstance(operation, Convolution | Dense):
        real = made.weights[stage.name]
        return replace(operation, weight=real.weight, bias=real.bias)
    return Add((0,) * len(stage.inputs)) if isinstance(operation, Add) else operation


def _share(stage: Stage, scale: float) -> float:
    """What a sum over a window is multiplied with: the average's share is in the scales."""
    if not isinstance(stage.operation, SumPool):
        return 1.0
    shift = stage.requantise.shift if stage.requantise else 0
    return stage.scale * 2.0**-shift / scale
