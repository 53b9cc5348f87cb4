"""Additions of constants and products with them, as the batch norms they amount to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from spikewright.targets.fpga.floats.network import BatchNorm
from spikewright.targets.fpga.floats.reader import Reader, shape_of


def line(reader: Reader, node: Node, source: Any, gain: Any = 1.0, shift: Any = 0.0) -> None:
    """y = gain x + shift, each a number or a constant with at most one value a channel."""
    gains, shifts = (_by_channel(reader, source, one) for one in (gain, shift))
    if gains is None or shifts is None:
        way = "Use one constant a channel, or put it into the layer before it."
        return reader.refuse(node, "a constant of its own for each value", way)
    zeros = torch.zeros_like(gains)
    norm = BatchNorm(gains, shifts, zeros, torch.ones_like(gains), 0.0)
    return reader.add(node, norm, source)


def constant(reader: Reader, given: Any) -> Any:
    """A number or the tensor that is one; ``None`` for what depends on the input."""
    return given if isinstance(given, int | float) else reader.tensor(given)


def _by_channel(reader: Reader, source: Node, given: Any) -> Tensor | None:
    """(channels,) float64; ``None`` if values of one channel differ."""
    channels = shape_of(source)[0]
    if given is None or isinstance(given, int | float):
        return None if given is None else torch.full((channels,), given, dtype=torch.float64)
    if given.numel() == 1:
        return given.reshape(1).double().expand(channels)
    rank = source.meta["val"].ndim
    shape = (*(1 for _ in range(rank - given.ndim)), *given.shape)
    whole = (1, channels, *(1 for _ in range(rank - 2)))
    return given.reshape(channels).double() if shape == whole else None
