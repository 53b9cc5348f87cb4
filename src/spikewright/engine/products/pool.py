"""Pooling of sequences of spikes, with the values and gradients of torch's own to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.engine import memory
from spikewright.engine.native import native
from spikewright.engine.once import differentiable_once
from spikewright.engine.products.events import (
    Events,
    active_of,
    attach,
    carries_spikes,
    events_in,
    events_wanted,
    look_for_events,
)
from spikewright.engine.threads import run_ranges

Array = np.ndarray[Any, Any]
MOST_PLACES = 256


@dataclass(frozen=True)
class Windows:
    """Windows inside a plane.

    Args:
        size: (lines, places) of a window.
        step: (lines, places) from one window to the next.
        divisor: what the sum of a window is divided by; 0 to take its largest value instead.
    """

    size: tuple[int, ...]
    step: tuple[int, ...]
    divisor: int

    def outputs(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """Windows along each axis."""
        axes = zip(sizes, self.size, self.step, strict=True)
        return tuple((whole - size) // step + 1 for whole, size, step in axes)


def can_pool(x: Tensor, windows: Windows) -> bool:
    """Whether `pool` can run: ``x`` carries spikes, and the windows are not too large."""
    return carries_spikes(x) and windows.size[0] * windows.size[1] <= MOST_PLACES


def pool(x: Tensor, windows: Windows) -> Tensor:
    """One number from each window of each channel of spikes.

    The result carries what a later layer could not read from it: the counts behind means, and
    the places where a gradient is of use.

    Args:
        x: (time, batch, channels, height, width).
    """
    y: Tensor = _Pool.apply(x, windows)
    active = active_of(x)
    if events_wanted() and (windows.divisor > 1 or active is not None):
        events = _counts(y, windows)
        if events is not None:
            attach(y, events, None if active is None else _reached(active, x, y, windows))
    return y


def traced_pool(x: Tensor, windows: Windows) -> Tensor:
    """Pooling of what may be spikes: by `pool` if it is when it runs, else by torch."""
    from spikewright.engine.custom_ops.convolutions import pool

    return pool(x, windows)


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, windows: Windows) -> Tensor:
        planes = x.detach().reshape(-1, *x.shape[3:])
        y = memory.empty((len(planes), *windows.outputs(planes.shape[1:])), x.dtype)
        chosen = torch.empty(() if windows.divisor else y.shape, dtype=torch.uint8)
        kernels = native("spikewright.engine", "pool", planes.numpy().dtype)
        kernel = kernels.window_sum if windows.divisor else kernels.largest
        _run(kernel, windows, planes, y, chosen)
        ctx.save_for_backward(chosen)
        ctx.windows, ctx.shape = windows, x.shape
        return y.view(*x.shape[:3], *y.shape[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (chosen,), windows = ctx.saved_tensors, ctx.windows
        gradient = grads[0].detach().reshape(-1, *grads[0].shape[3:]).contiguous()
        x = memory.empty((len(gradient), *ctx.shape[3:]), gradient.dtype)
        kernels = native("spikewright.engine", "pool", gradient.numpy().dtype)
        kernel = kernels.window_sum_gradient if windows.divisor else kernels.largest_gradient
        _run(kernel, windows, gradient, x, chosen)
        way = "Run the neurons before it with backend='reference'."
        return (*differentiable_once("engine.pool", way, [x.view(ctx.shape)], grads), None)


def _run(
    kernel: Callable[..., None], windows: Windows, source: Tensor, target: Tensor, chosen: Tensor
) -> None:
    last: Any = windows.divisor or chosen.numpy()
    arrays, sizes = (source.numpy(), target.numpy()), (*windows.size, *windows.step)
    rest = (*sizes, last) if windows.divisor else (last, *sizes)
    size = max(source.numel(), target.numel())
    run_ranges(lambda i, j: kernel(i, j, *arrays, *rest), len(source), size // 2)


def _counts(y: Tensor, windows: Windows) -> Events | None:
    """The events of pooled spikes, a mean being so many times one over the window's size."""
    if windows.divisor <= 1:
        return look_for_events(y)
    counts = y.detach().mul(windows.divisor).round_()
    events = events_in(counts) if torch.equal(counts / windows.divisor, y.detach()) else None
    return None if events is None else replace(events, scale=1 / windows.divisor)


def _reached(active: Events, x: Tensor, y: Tensor, windows: Windows) -> Events | None:
    """The windows that hold an active place."""
    mask = torch.zeros(y.shape, dtype=y.dtype)
    values: Array = mask.flatten(0, 1).numpy()
    kernel = native("spikewright.engine", "pool", values.dtype).reach
    sizes = (*x.shape[3:], values, *windows.size, *windows.step)
    run_ranges(
        lambda i, j: kernel(i, j, active.indptr, active.index, *sizes), active.rows, active.number
    )
    return events_in(mask)
