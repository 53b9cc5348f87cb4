"""The tensors of a node by name: what is stored, hashed and checked."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikewright.compiler.discrete import (
    Affine,
    Convolution,
    Delayed,
    DelayedProduct,
    MatrixProduct,
    Neurons,
    Node,
)
from spikewright.compiler.formats import Format

_FIELDS: dict[type, tuple[str, ...]] = {
    Affine: ("scale", "shift"),
    MatrixProduct: ("weight", "bias"),
    Convolution: ("weight", "bias"),
    DelayedProduct: ("taps", "bias"),
    Delayed: ("steps", "fraction"),
}
GROUPS = ("parameters", "coefficients", "initial")
"""The fields of neurons that are tables of tensors."""


def tensors_of(node: Node) -> dict[str, Tensor]:
    """The numbers of a node: ``"weight"``, ``"coefficients/gain"``, ..."""
    operation: Any = node.operation
    if isinstance(operation, Neurons):
        return {
            f"{group}/{name}": value
            for group in GROUPS
            for name, value in getattr(operation, group).items()
        }
    fields = _FIELDS.get(type(operation), ())
    found = {name: getattr(operation, name) for name in fields}
    return {name: value for name, value in found.items() if value is not None}


def dtypes_of(node: Node) -> list[torch.dtype]:
    """The types of the numbers that a node computes with; those of delays take that of x."""
    apart = {name for name in tensors_of(node) if name.startswith("parameters/")} | {"fraction"}
    found = (value.dtype for name, value in tensors_of(node).items() if name not in apart)
    return [dtype for dtype in found if dtype.is_floating_point]


def weight_of(node: Node) -> Tensor | None:
    """The weights of a product or a convolution; ``None`` for other nodes."""
    found = tensors_of(node)
    return found.get("weight", found.get("taps"))


def formatted(node: Node) -> list[tuple[Tensor, Format]]:
    """The weights and the bias of a node, those that have a number format, with it."""
    bias = tensors_of(node).get("bias")
    pairs = ((weight_of(node), node.weight_format), (bias, node.bias_format))
    return [(value, form) for value, form in pairs if value is not None and form is not None]
