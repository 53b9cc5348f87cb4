"""Batch norms put into the products before them."""

from __future__ import annotations

from dataclasses import replace

from spikewright.compiler.target import Broken
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

    gain = norm.weight / sqrt(variance + eps), shift = norm.bias - mean gain. A norm of images that
    stands behind something else becomes a convolution of each channel by itself, kernel 1.

    Raises:
        CompileError: a norm of features that stands behind no product of its own.

    >>> import torch
    >>> one = torch.ones(1, dtype=torch.float64)
    >>> norm = BatchNorm(2 * one, one, one, 3 * one, 1.0)
    >>> stages = (FloatStage("a", ("input",), Dense(one[None], one)), FloatStage("b", ("a",), norm))
    >>> folded = fold_batch_norms(FloatNetwork((1,), stages)).stages[0].operation
    >>> folded.weight.item(), folded.bias.item()
    (1.0, 1.0)
    """
    stages: dict[str, FloatStage] = {}
    names: dict[str, str] = {}
    broken: list[Broken] = []
    for given in network.stages:
        stage, norm = renamed(given, names), given.operation
        if not isinstance(norm, BatchNorm):
            stages[stage.name] = stage
            continue
        source, alone = stage.inputs[0], len(network.users[given.inputs[0]]) == 1
        product = None if source == INPUT else stages[source]
        if product and alone and isinstance(product.operation, Convolution | Dense):
            stages[source] = replace(product, operation=_folded(product.operation, norm))
            names[stage.name] = source
        elif len(network.shapes[given.name]) == 3:
            stages[stage.name] = replace(stage, operation=_by_channel(norm))
        else:
            have, way = "those right behind a product", "Put it behind a linear layer."
            need = f"a batch norm behind {source!r}, which others read too or is no product"
            broken.append(Broken(stage.name, "batch norms", need, have, way))
    refuse("fpga.fold_batch_norms", broken)
    return FloatNetwork(network.shape, tuple(stages.values()))


def _folded(product: Convolution | Dense, norm: BatchNorm) -> FloatOperation:
    gain, shift = norm.line()
    each = (-1, *(1 for _ in product.weight.shape[1:]))
    return replace(
        product, weight=product.weight * gain.view(each), bias=product.bias * gain + shift
    )


def _by_channel(norm: BatchNorm) -> Convolution:
    gain, shift = norm.line()
    return Convolution(gain.view(-1, 1, 1, 1), shift, groups=len(gain))
