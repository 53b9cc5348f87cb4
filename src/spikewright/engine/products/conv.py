"""The convolution of spikes with kernels, dense or event by event."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.engine import memory
from spikewright.engine.once import differentiable_once
from spikewright.engine.products.conv_events import input_gradient, product, weight_gradient
from spikewright.engine.products.costs import Path, Scatter, costs_in_force
from spikewright.engine.products.events import Events, active_of, events_of, look_for_events
from spikewright.engine.products.geometry import Convolution
from spikewright.engine.products.linear import obstacle
from spikewright.engine.traced import is_traced

_SECOND = "Run the layer with path='dense'."
CHUNK_ELEMENTS = 1 << 20
"""Of a dense result, worked out at a time: torch maps large memory anew for each call."""
WORK_SPACE = 1 << 23
"""Elements that torch copies at once for a weight's gradient. With much fewer, the C library gives
the memory back to the system after each chunk, and to fetch it again takes half of the time."""


@dataclass(frozen=True)
class Way:
    """How a convolution runs, and why.

    Args:
        events: of the input; ``None`` if it is not known to be spikes.
        forward: whether the convolution runs event by event.
        gradient: whether the gradient of the weights does.
    """

    events: Events | None
    reason: str
    forward: bool = False
    gradient: bool = False

    def __str__(self) -> str:
        ways = ["events" if which else "dense" for which in (self.forward, self.gradient)]
        both = ways[0] if ways[0] == ways[1] else f"{ways[0]}, weights' gradient {ways[1]}"
        return f"{both} ({self.reason})"


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, conv: Convolution, path: Path = "auto"
) -> Tensor:
    """``y[t, b] = W * x[t, b] + bias`` for a sequence, dense or event by event.

    The two differ in the order of their sums only.

    Args:
        x: (time, batch, inputs, *sizes).
        weight: (outputs, inputs / groups, *taps).
        bias: (outputs,) or ``None``.
        path: ``"dense"``, ``"events"`` (where ``x`` is spikes) or ``"auto"``, the cheaper one
            by the table of costs in force, for the gradient of the weights apart.
    """
    if is_traced(x):
        from spikewright.engine.custom_ops import convolutions as registered

        return registered.conv(x, weight, bias, conv, path)
    way = choose_way(x, weight, conv, path)
    if way.events is None:
        return dense(x, weight, bias, conv)
    return convolve_as(way, x, weight, bias, conv)


def dense(x: Tensor, weight: Tensor, bias: Tensor | None, conv: Convolution) -> Tensor:
    """Torch's convolution of a sequence."""
    return _dense(x.flatten(0, 1), weight, bias, conv).unflatten(0, x.shape[:2])


def convolve_as(
    way: Way, x: Tensor, weight: Tensor, bias: Tensor | None, conv: Convolution
) -> Tensor:
    """The convolution in the way that was chosen, in one piece with its gradients."""
    return _Convolve.apply(x, weight, bias, conv, way, active_of(x))


def choose_way(x: Tensor, weight: Tensor, conv: Convolution, path: Path = "auto") -> Way:
    """Whether a convolution of ``x`` runs event by event, and why."""
    if path == "dense":
        return Way(None, "asked for")
    hindrance = obstacle(x, weight)
    if hindrance:
        return Way(None, hindrance)
    size, costs = size_of(conv, x.shape[0] * x.shape[1]), costs_in_force()
    if path == "auto" and events_of(x) is None and not size.worth_reading(costs):
        return Way(None, "too few outputs to look for events")
    events = look_for_events(x)
    if events is None:
        return Way(None, "the input is no sequence of spikes")
    if path == "events":
        return Way(events, "asked for", True, True)
    dense, number = size.dense(costs), events.number
    forward = size.events(costs, number) < dense
    gradient = size.events_gradient(costs, number) < dense
    return Way(events, f"{events.density:.2%} of the inputs are events", forward, gradient)


def size_of(conv: Convolution, rows: int) -> Scatter:
    """What the costs of a convolution depend on."""
    products = conv.places * conv.outputs * conv.in_group * conv.taps
    outputs = conv.places * conv.outputs
    return Scatter(rows, conv.inputs * conv.plane, products, conv.added, outputs)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        conv: Convolution,
        way: Way,
        active: Events | None,
    ) -> Tensor:
        ctx.save_for_backward(weight, *([] if way.gradient else [x]))
        ctx.conv, ctx.way, ctx.active, ctx.shape = conv, way, active, x.shape
        if not way.forward:
            rows = x.flatten(0, 1)
            y = _in_chunks(
                lambda part: _dense(rows[part], weight, bias, conv), len(rows), conv.shape, x.dtype
            )
            return y.unflatten(0, x.shape[:2])
        y = memory.empty((*x.shape[:2], *conv.shape), x.dtype)
        assert way.events is not None
        product(conv, way.events, weight.detach(), bias, y.flatten(0, 1))
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, *saved = ctx.saved_tensors
        conv, way, needs = ctx.conv, ctx.way, ctx.needs_input_grad
        gradient, x = grads[0].flatten(0, 1), saved[0].flatten(0, 1) if saved else None
        active: Events | None = ctx.active
        if not needs[0] or (active is not None and not _listing_pays(conv, active)):
            active = None
        dense = [needs[0] and active is None, *(need and x is not None for need in needs[1:3])]
        results = _dense_gradients(gradient, x, weight, conv, dense)
        made: list[Tensor | None] = [None, None, None]
        if active is not None:
            made[0] = input_gradient(conv, active, weight.detach(), gradient.detach())
        if way.gradient and any(needs[1:3]):
            made[1:] = weight_gradient(conv, way.events, gradient.detach())
        if active is not None or way.gradient:
            made = differentiable_once("engine.conv", _SECOND, made, (weight, *grads))
        results = [b if a is None else a for a, b in zip(results, made, strict=True)]
        grad_x = None if results[0] is None else results[0].view(ctx.shape)
        return grad_x, results[1], results[2] if needs[2] else None, None, None, None


def _in_chunks(
    function: Callable[[slice], Tensor], number: int, shape: tuple[int, ...], dtype: torch.dtype
) -> Tensor:
    """Rows that torch works out, (number, *shape); many go to memory that is mapped already."""
    chunk = max(1, CHUNK_ELEMENTS // math.prod(shape))
    if number <= chunk or torch.is_grad_enabled():
        return function(slice(None))
    y = memory.empty((number, *shape), dtype)
    for i in range(0, number, chunk):
        part = slice(i, i + chunk)
        y[part] = function(part)
    return y


def _listing_pays(conv: Convolution, active: Events) -> bool:
    size, costs = size_of(conv, active.rows), costs_in_force()
    return size.listed_gradient(costs, active.number) < size.dense(costs)


def _dense(rows: Tensor, weight: Tensor, bias: Tensor | None, conv: Convolution) -> Tensor:
    """Torch's convolution of rows (n, inputs, *sizes)."""
    rows, (stride, padding, dilation) = _padded(rows, conv)
    function = functional.conv1d if len(conv.axes) == 1 else functional.conv2d
    return function(rows, weight, bias, stride, padding, dilation, conv.groups)


def _dense_gradients(
    gradient: Tensor, rows: Tensor | None, weight: Tensor, conv: Convolution, wanted: list[bool]
) -> list[Tensor | None]:
    """Torch's gradients of rows, weight and bias; ``rows`` may be left out for the first."""
    found: list[Tensor | None] = [None, None, None]
    if wanted[0]:
        shape = (conv.inputs, *(axis.size for axis in conv.axes))
        found[0] = _in_chunks(
            lambda part: _dense_input_gradient(gradient[part], weight, conv),
            len(gradient),
            shape,
            gradient.dtype,
        )
    if rows is not None and any(wanted[1:]):
        chunk = max(1, WORK_SPACE // max(rows[0].numel(), gradient[0].numel()))
        if torch.is_grad_enabled():
            chunk = len(rows)
        for i in range(0, len(rows), chunk):
            part = slice(i, i + chunk)
            made = _dense_weight_gradients(gradient[part], rows[part], weight, conv, wanted[1:])
            found[1:] = [
                a if b is None else b if a is None else a + b
                for a, b in zip(made, found[1:], strict=True)
            ]
    return found


def _dense_weight_gradients(
    gradient: Tensor, rows: Tensor, weight: Tensor, conv: Convolution, wanted: list[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Torch's gradients of weight and bias; in its work space is a copy of both first arguments."""
    rows, (stride, padding, dilation) = _padded(rows, conv)
    options = (stride, padding, dilation, False, [0] * len(conv.axes), conv.groups)
    _, *found = torch.ops.aten.convolution_backward(
        gradient, rows, weight, [conv.outputs], *options, [False, *wanted]
    )
    return found[0], found[1]


def _dense_input_gradient(gradient: Tensor, weight: Tensor, conv: Convolution) -> Tensor:
    sizes = (len(gradient), conv.inputs, *(axis.size for axis in conv.axes))
    # Of the input, torch needs no more than its shape.
    rows, (stride, padding, dilation) = _padded(gradient.new_empty(1).expand(sizes), conv)
    options = (stride, padding, dilation, False, [0] * len(conv.axes), conv.groups)
    x, _, _ = torch.ops.aten.convolution_backward(
        gradient, rows, weight, None, *options, [True, False, False]
    )
    if not _uneven(conv):
        return x
    return x[(..., *(slice(a.before, a.before + a.size) for a in conv.axes))].contiguous()


def _padded(rows: Tensor, conv: Convolution) -> tuple[Tensor, tuple[Any, Any, Any]]:
    """Rows with the zeros that torch does not add itself; its stride, padding and dilation."""
    axes = conv.axes
    padding = [axis.before for axis in axes]
    if _uneven(conv):
        zeros = [zero for axis in reversed(axes) for zero in (axis.before, axis.after)]
        rows, padding = functional.pad(rows, zeros), [0] * len(axes)
    return rows, ([a.stride for a in axes], padding, [a.dilation for a in axes])


def _uneven(conv: Convolution) -> bool:
    """Whether an axis has more zeros on one side."""
    return any(axis.before != axis.after for axis in conv.axes)
