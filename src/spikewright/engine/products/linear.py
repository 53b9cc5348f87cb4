"""The product of spikes with a matrix, dense or event by event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spikewright.engine import memory
from spikewright.engine.cpu.runs import block_side
from spikewright.engine.gpu import linear as gpu_choice
from spikewright.engine.gpu import products as gpu
from spikewright.engine.native import native
from spikewright.engine.once import differentiable_once
from spikewright.engine.products.costs import Path, Product, costs_in_force
from spikewright.engine.products.events import (
    Events,
    active_of,
    events_of,
    is_sequence_of_spikes,
    look_for_events,
)
from spikewright.engine.products.weights import derived
from spikewright.engine.threads import run_ranges
from spikewright.engine.traced import is_traced

Array = np.ndarray[Any, Any]
_SECOND = "Run the layer with path='dense'."
SUM_PARTS = 16
"""Of the rows, each summed by one thread."""
BLOCK_BYTES = 1 << 19
"""Of the output gradient, in a block of rows whose events are sorted by input."""


@dataclass(frozen=True)
class Way:
    """How a product runs, and why."""

    events: Events | gpu.Events | None
    reason: str

    def __str__(self) -> str:
        return f"{'dense' if self.events is None else 'events'} ({self.reason})"


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, path: Path = "auto") -> Tensor:
    """``y[t, b] = W x[t, b] + bias`` for a sequence, dense or event by event.

    The two differ in the order of their sums only.

    Args:
        x: (time, batch, inputs).
        weight: (outputs, inputs).
        bias: (outputs,) or ``None``.
        path: ``"dense"``, ``"events"`` (where ``x`` is spikes) or ``"auto"``, the cheaper one
            by the table of costs in force.

    >>> x = torch.tensor([[[0.0, 2.0]]])
    >>> linear(x, torch.tensor([[3.0, 4.0]]), None, path="events")
    tensor([[[8.]]])
    """
    if is_traced(x):
        from spikewright.engine.custom_ops import products as registered

        return registered.linear(x, weight, bias, path)
    way = choose_way(x, weight, path)
    if way.events is None:
        return functional.linear(x, weight, bias)
    if isinstance(way.events, gpu.Events):
        y = gpu.product(way.events, weight, bias, x.flatten(0, 1))
        return y.view(*x.shape[:2], len(weight))
    return _EventProduct.apply(x, weight, bias, way.events, active_of(x))


def choose_way(x: Tensor, weight: Tensor, path: Path = "auto") -> Way:
    """Whether the product of ``x`` with ``weight`` runs event by event, and why."""
    if x.is_cuda:
        return Way(*gpu_choice.choose(x, weight, path))
    costs = costs_in_force()
    size = Product(x.shape[0] * x.shape[1], x.shape[2], weight.shape[0])
    if path == "dense":
        return Way(None, "asked for")
    hindrance = obstacle(x, weight)
    if hindrance:
        return Way(None, hindrance)
    if path == "auto" and events_of(x) is None and not size.worth_reading(costs):
        return Way(None, "too few outputs to look for events")
    events = look_for_events(x)
    if events is None:
        return Way(None, "the input is no sequence of spikes")
    if path == "events":
        return Way(events, "asked for")
    share = f"{events.density:.2%} of the inputs are events"
    cheaper = size.events(costs, events.number) < size.dense(costs)
    return Way(events if cheaper else None, share)


def obstacle(x: Tensor, weight: Tensor) -> str | None:
    """Why a product cannot run event by event, or ``None``."""
    kind = obstacle_of_kind(x, weight)
    if kind:
        return kind
    # A weight that no event meets must spoil the result all the same, as it does in a product.
    return None if derived(weight, is_finite) else "weights are not finite"


def obstacle_of_kind(x: Tensor, weight: Tensor) -> str | None:
    """`obstacle` as far as no value is looked at."""
    if not is_sequence_of_spikes(x) or weight.dtype != x.dtype or weight.device != x.device:
        return f"{x.dtype} on {x.device}"
    return "autocast" if torch.is_autocast_enabled("cpu") else None


class _EventProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        events: Events,
        active: Events | None,
    ) -> Tensor:
        rows = derived(weight, rows_of)
        shift = np.zeros(len(weight), rows.dtype) if bias is None else bias.detach().numpy()
        y = memory.empty((*x.shape[:2], len(weight)), x.dtype)
        product(events, rows, shift, y.view(-1, len(weight)).numpy())
        ctx.save_for_backward(weight)
        ctx.events, ctx.active, ctx.shape = events, active, x.shape
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        gradient = grads[0].detach().contiguous().view(-1, len(weight))
        values: Array = gradient.numpy()
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = _input_gradient(gradient, weight, ctx.active).view(ctx.shape)
        if ctx.needs_input_grad[1]:
            grad_weight = torch.from_numpy(weight_gradient(ctx.events, values))
        if ctx.needs_input_grad[2]:
            grad_bias = torch.from_numpy(column_sums(values))
        results = (grad_x, grad_weight, grad_bias, None, None)
        return tuple(differentiable_once("engine.linear", _SECOND, results, (weight, *grads)))


def product(events: Events, rows: Array, bias: Array, y: Array) -> None:
    """``y[r] = bias + sum of count * rows[index]`` over the events of row r.

    Args:
        rows: (inputs, outputs).
        y: (rows, outputs), written.
    """
    e, kernels, rows = (
        events,
        native("spikewright.engine", "linear", rows.dtype),
        events.valued(rows),
    )
    run_ranges(
        lambda i, j: kernels.product(i, j, e.indptr, e.index, e.count, rows, bias, y),
        e.rows,
        (e.number + e.rows) * rows.shape[1] // 8,
    )


def weight_gradient(events: Events, gradient: Array) -> Array:
    """``dW[n, i] = sum of count * gradient[row, n]`` over the events of input i.

    Rows are added up in ascending order, whatever the number of threads.

    Args:
        gradient: (rows, outputs).

    Returns:
        (outputs, inputs).
    """
    e, kernels = events, native("spikewright.engine", "linear", gradient.dtype)
    outputs = gradient.shape[1]
    block = max(1, BLOCK_BYTES // (outputs * gradient.itemsize))
    start = np.empty((-(-e.rows // block), e.features + 1), np.int64)
    row, times = np.empty_like(e.index), np.empty_like(e.count)
    lists = (e.indptr, e.index, e.count, start, row, times)
    run_ranges(
        lambda i, j: kernels.transpose(i, j, block, e.features, *lists), len(start), 4 * e.number
    )
    rows = np.empty((e.features, outputs), gradient.dtype)
    work = (e.number + e.features) * outputs // 8
    run_ranges(
        lambda i, j: kernels.weight_gradient(i, j, start, row, times, gradient, rows),
        e.features,
        work,
        pieces=1,
    )
    return e.valued(flipped(rows))


def column_sums(gradient: Array) -> Array:
    """The sum of each column, in an order that no number of threads changes."""
    parts = min(SUM_PARTS, len(gradient))
    totals = np.empty((parts, gradient.shape[1]), gradient.dtype)
    kernels = native("spikewright.engine", "linear", gradient.dtype)
    work = gradient.size // 4
    run_ranges(lambda i, j: kernels.column_sums(i, j, gradient, totals), parts, work)
    return totals.sum(axis=0)


def flipped(matrix: Array) -> Array:
    """A contiguous transposed copy."""
    out = np.empty(matrix.shape[::-1], matrix.dtype)
    source = np.ascontiguousarray(matrix)
    kernels = native("spikewright.engine", "linear", matrix.dtype)
    blocks = -(-len(out) // block_side(matrix.itemsize))
    run_ranges(lambda i, j: kernels.flip(i, j, source, out), blocks, matrix.size // 4)
    return out


def rows_of(weight: Tensor) -> Array:
    """The weights of each input side by side, (inputs, outputs)."""
    return flipped(weight.detach().numpy())


def is_finite(weight: Tensor) -> bool:
    """Whether no weight is NaN or infinite."""
    return bool(torch.isfinite(weight.detach().sum()))


def _input_gradient(gradient: Tensor, weight: Tensor, active: Events | None) -> Tensor:
    """``gradient W``; where ``active`` lists few places, only there, and zero elsewhere."""
    size = Product(len(gradient), weight.shape[1], weight.shape[0])
    costs = costs_in_force()
    if active is None or size.listed_gradient(costs, active.number) > size.dense(costs):
        return torch.mm(
            gradient,
            weight.detach(),
            out=memory.empty((len(gradient), size.inputs), gradient.dtype),
        )
    rows = derived(weight, rows_of)
    return torch.from_numpy(listed_input_gradient(active, rows, gradient.numpy()))


def listed_input_gradient(active: Events, rows: Array, gradient: Array) -> Array:
    """``x[r, i] = rows[i] · gradient[r]`` where ``active`` lists neuron i in row r, else zero.

    Args:
        rows: (inputs, outputs).
        gradient: (rows, outputs).
    """
    x = memory.empty((len(gradient), len(rows)), torch.from_numpy(rows).dtype).numpy()
    kernels = native("spikewright.engine", "linear", rows.dtype)
    run_ranges(
        lambda i, j: kernels.input_gradient(i, j, active.indptr, active.index, rows, gradient, x),
        active.rows,
        active.number * rows.shape[1] // 8 + x.size // 16,
    )
    return x
