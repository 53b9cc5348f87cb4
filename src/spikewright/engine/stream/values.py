"""The weights and coefficients of a network as one array for its stream."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

import numpy as np
from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright.engine.program import (
    Competition,
    Convolution,
    Delayed,
    DelayedProduct,
    Feedback,
    MatrixProduct,
    Maximum,
    Part,
    Pointwise,
    Same,
    WindowSum,
)
from spikewright.engine.tracing.symbolic import Array

LINE = 64
"""Values are searched for spikes so many at a time."""


def padded(size: int) -> int:
    """``size`` rounded up to whole lines."""
    return -(-size // LINE) * LINE


def pack(parts: Sequence[Part], out: Array) -> None:
    """Write the arrays of all parts to ``out``, each from a new line on."""
    first = 0
    for part in parts:
        for array in arrays(part):
            out[first : first + array.size] = array.reshape(-1)
            first += padded(array.size)


@singledispatch
def arrays(part: Part) -> list[Array]:
    """The numbers of a part, each array laid out as the kernel reads it."""
    raise NotImplementedError(type(part).__name__)


@arrays.register(Same)
@arrays.register(Maximum)
def _(part: Same | Maximum) -> list[Array]:
    return []


@arrays.register(MatrixProduct)
@arrays.register(DelayedProduct)
def _(part: MatrixProduct | DelayedProduct) -> list[Array]:
    """The weights from each input side by side, and the biases."""
    return [_numpy(part.weight).T, _bias(part)]


@arrays.register
def _(part: Convolution) -> list[Array]:
    """The kernel of each input channel, output channels of its group innermost; the biases."""
    shape = part.geometry
    weight = _numpy(part.weight).reshape(shape.groups, shape.width, shape.in_group, -1)
    return [weight.transpose(0, 2, 3, 1), _bias(part)]


@arrays.register
def _(part: WindowSum) -> list[Array]:
    shape = part.geometry
    return [np.full(shape.inputs * shape.taps, part.factor), np.zeros(shape.inputs)]


@arrays.register
def _(part: Delayed) -> list[Array]:
    return [_numpy(value.expand(part.features)) for value in (part.steps, part.fraction)]


@arrays.register
def _(part: Pointwise) -> list[Array]:
    """The coefficients, each once if all neurons share it, else those of a neuron side by side."""
    found: list[Array] = []
    slots = part.slots()
    leaves = pytree.tree_leaves(part.coefficients)
    for c, trailing, shared in zip(leaves, slots.coefficients, slots.shared, strict=True):
        found.append(_numpy(c if shared else c.expand(*part.features, *trailing)))
    return found


@arrays.register
def _(part: Feedback) -> list[Array]:
    return arrays(part.connection) + arrays(part.neurons)


@arrays.register
def _(part: Competition) -> list[Array]:
    return arrays(part.neurons)


def _bias(part: MatrixProduct | DelayedProduct | Convolution) -> Array:
    if part.bias is None:
        return np.zeros(part.weight.shape[0], _numpy(part.weight).dtype)
    return _numpy(part.bias)


def _numpy(tensor: Tensor) -> Array:
    return tensor.detach().numpy()


def tensors(part: Part) -> list[Tensor]:
    """The tensors that a part's numbers come from."""
    if isinstance(part, Pointwise):
        return pytree.tree_leaves(part.coefficients)
    if isinstance(part, Competition):
        return tensors(part.neurons)
    if isinstance(part, Feedback):
        return tensors(part.connection) + tensors(part.neurons)
    if isinstance(part, Delayed):
        return [part.fraction]
    if isinstance(part, MatrixProduct | DelayedProduct | Convolution):
        return [t for t in (part.weight, part.bias) if t is not None]
    return []
