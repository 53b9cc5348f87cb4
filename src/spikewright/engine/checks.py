"""Checks of sequences where they enter, each with an error that says what must be."""

from __future__ import annotations

import torch
from torch import Tensor

from spikewright.engine.layer import Shape
from spikewright.errors import NetworkError, ShapeError


def check_sequence(where: str, x: Tensor, shape: Shape | None) -> None:
    """Raise ShapeError unless ``x`` is (time, batch, *shape) with one step and sample or more."""
    if not isinstance(x, Tensor):
        raise ShapeError(
            f"{where}: input must be a tensor (time, batch, *features), got {type(x).__name__}. "
            "Convert it with torch.as_tensor."
        )
    if x.dim() < 2 or 0 in x.shape[:2]:
        raise ShapeError(
            f"{where}: input must be (time, batch, *features) with at least one step and one "
            f"sample, got shape {tuple(x.shape)}. Add the axes that are missing."
        )
    if shape is not None and tuple(x.shape[2:]) != shape:
        raise ShapeError(
            f"{where}: input must be (time, batch, {', '.join(map(str, shape))}), "
            f"got shape {tuple(x.shape)}. "
            "A layer keeps the shape it was first used with; make a new layer for another."
        )


def check_finite(where: str, x: Tensor) -> None:
    """Raise ShapeError if ``x`` holds NaN or infinity.

    The sum is one read of the tensor; only if that is not finite is each element looked at.
    """
    if torch.isfinite(x.detach().sum()):
        return
    finite = torch.isfinite(x.detach())
    if bool(finite.all()):
        return
    first = tuple(int(i) for i in (~finite).nonzero()[0])
    raise ShapeError(
        f"{where}: input must be finite, got {x[first].item()} at (time, batch, *features) = "
        f"{first}, {int((~finite).sum())} such values in all. Clean the data, or scale it."
    )


def check_in_graph(where: str, shape: Shape | None, memory: str) -> None:
    """Raise NetworkError unless a network of that shape and memory mode can run on stand-ins."""
    around = "torch.compile, torch.export or torch.func"
    if shape is None:
        raise NetworkError(
            f"{where}: input shape must be known before {around} runs it, got None. "
            "Call net.build(shape), or run it once."
        )
    if memory != "full":
        raise NetworkError(
            f"{where}: memory must be 'full' under {around}, got {memory!r}. "
            "Leave it out, or run the network outside of them."
        )
