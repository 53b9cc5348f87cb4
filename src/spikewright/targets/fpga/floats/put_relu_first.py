"""Each ReLU right behind the sums it belongs to."""

from __future__ import annotations

import math
from dataclasses import replace

from spikewright.targets.fpga.floats.check import signed
from spikewright.targets.fpga.floats.network import FloatNetwork, FloatStage, ReLU
from spikewright.targets.fpga.floats.renamed import renamed
from spikewright.targets.fpga.integer import Flatten, MaxPool


def put_relu_first(network: FloatNetwork) -> FloatNetwork:
    """The same function with every ReLU before pooling by the largest and before flattening.

    relu(max(x)) = max(relu(x)), so the accelerator pools activations of few bits and never sums.
    A ReLU of what is never negative is left out, and of two in a row the lower one stays.
    """
    while (swapped := _swapped(network)) is not network:
        network = swapped
    negative, names = signed(network), dict[str, str]()
    kept: list[FloatStage] = []
    for given in network.stages:
        stage = renamed(given, names)
        again = isinstance(given.operation, ReLU) and given.inputs[0] not in negative
        if again and _merged(network, given, stage, kept):
            names[stage.name] = stage.inputs[0]
        else:
            kept.append(stage)
    return FloatNetwork(network.shape, tuple(kept)) if kept else network


def _merged(
    network: FloatNetwork, given: FloatStage, stage: FloatStage, kept: list[FloatStage]
) -> bool:
    """Whether a ReLU of what is never negative does nothing, or the ReLU before it does it too."""
    relu = given.operation
    assert isinstance(relu, ReLU)
    if math.isinf(relu.most):
        return True
    place, before = next(
        ((i, one) for i, one in enumerate(kept) if one.name == stage.inputs[0]), (0, None)
    )
    alone = len(network.users[given.inputs[0]]) == 1
    if before is None or not isinstance(before.operation, ReLU) or not alone:
        return False
    kept[place] = replace(before, operation=ReLU(min(relu.most, before.operation.most)))
    return True


def _swapped(network: FloatNetwork) -> FloatNetwork:
    """With one ReLU a step further up; the network itself if none has to move."""
    for place, relu in enumerate(network.stages):
        before = network.by_name.get(relu.inputs[0])
        if not isinstance(relu.operation, ReLU) or before is None:
            continue
        alone = len(network.users[before.name]) == 1
        if alone and isinstance(before.operation, MaxPool | Flatten):
            return _with_relu_before(network, before, place)
    return network


def _with_relu_before(network: FloatNetwork, before: FloatStage, place: int) -> FloatNetwork:
    relu = network.stages[place]
    names = {relu.name: before.name}
    stages: list[FloatStage] = []
    for stage in network.stages:
        if stage is before:
            stages += [replace(relu, inputs=stage.inputs), replace(stage, inputs=(relu.name,))]
        elif stage is not relu:
            stages.append(renamed(stage, names))
    return FloatNetwork(network.shape, tuple(stages))
