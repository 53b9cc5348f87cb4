"""A line y = gain x + shift carried through pooling and flattening into the products behind."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from torch import Tensor

from spikewright.targets.fpga.floats.network import AveragePool, FloatNetwork, FloatStage
from spikewright.targets.fpga.integer import Convolution, Dense, Flatten, MaxPool

Line = tuple[Tensor, Tensor]
"""Gain and shift by channel, (channels,) float64."""


class Stuck(Exception):
    """A line cannot be carried on; never leaves the folding of norms."""

    def __init__(self, need: str, way: str) -> None:
        super().__init__(need)
        self.need, self.way = need, way


def carried(network: FloatNetwork, name: str, gain: Tensor, shift: Tensor) -> dict[str, Line]:
    """By product that reads a stage, perhaps through pooling, the line on its input's channels.

    Raises:
        Stuck: something else reads it, or a product for which the zeros of its padding matter.
    """
    found: dict[str, Line] = {}
    for user in network.users[name]:
        operation = user.operation
        if isinstance(operation, Dense | Convolution):
            _check_padding(user, shift)
            found[user.name] = gain, shift
        else:
            found |= carried(network, user.name, *_behind(network, user, gain, shift))
    if not found:
        need = f"a product behind {name!r} to take a gain and a shift, or one right before it"
        raise Stuck(need, "Put it right behind a linear layer or a convolution.")
    return found


def into_product(stage: FloatStage, gain: Tensor, shift: Tensor) -> FloatStage:
    """The product of gain x + shift as a product of x."""
    product = stage.operation
    assert isinstance(product, Convolution | Dense)
    weight, groups = product.weight, 1 if isinstance(product, Dense) else product.groups
    # (groups, 1, in, ...) against weights (groups, out, in, ...), both of one group
    grouped = weight.reshape(groups, -1, *weight.shape[1:])
    line = (groups, 1, -1, *(1 for _ in weight.shape[2:]))
    bias = product.bias + (grouped * shift.view(line)).flatten(2).sum(2).flatten()
    weight = (grouped * gain.view(line)).reshape(weight.shape)
    return replace(stage, operation=replace(product, weight=weight, bias=bias))


def _check_padding(user: FloatStage, shift: Tensor) -> None:
    padding = getattr(user.operation, "padding", (0, 0))
    if any(padding) and bool((shift != 0).any()):
        need = f"a shift before {user.name!r}, whose padding is 0 behind the shift, not before it"
        way = f"Train with padding=0 in {user.name!r}, without the shift, or with it before a ReLU."
        raise Stuck(need, way)


def _behind(network: FloatNetwork, user: FloatStage, gain: Tensor, shift: Tensor) -> Line:
    """The line behind a stage that keeps channels apart."""
    operation = user.operation
    if isinstance(operation, Flatten):
        shape = network.shapes[user.inputs[0]]
        each = prod(shape[1:])
        return gain.repeat_interleave(each), shift.repeat_interleave(each)
    if isinstance(operation, MaxPool) and bool((gain >= 0).all()):
        return gain, shift
    if isinstance(operation, AveragePool):
        _check_padding(user, shift)
        return gain, shift * (prod(operation.window) / operation.divisor)
    need = f"a gain and a shift before {user.name!r}, which is no product"
    raise Stuck(need, "Put it right behind a linear layer or a convolution.")
