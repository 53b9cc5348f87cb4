"""The spike primitives: the one place where a network stops being differentiable.

A step calls `spike` or `spike_count`. Neither has a derivative of its own: whoever runs the step
supplies one with `firing_context`, the learning rule first, else the neuron's surrogate.

Where a device ran in the step's place, `firing_as` puts in the spikes that it showed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from spikewright.engine.surrogate import SuperSpike, SurrogateGradient
from spikewright.errors import TraceError

DEFAULT_SURROGATE = SuperSpike()

_surrogate: ContextVar[SurrogateGradient] = ContextVar("surrogate", default=DEFAULT_SURROGATE)
_of_rule: ContextVar[SurrogateGradient | None] = ContextVar("surrogate of the rule", default=None)
_gate: ContextVar[Tensor | None] = ContextVar("gate", default=None)
_shown: ContextVar[list[Tensor] | None] = ContextVar("spikes shown by a device", default=None)
_watched: ContextVar[list[Tensor] | None] = ContextVar("excess of spikes", default=None)


@contextmanager
def firing_context(surrogate: SurrogateGradient) -> Iterator[None]:
    """Give the spikes made inside the derivative of ``surrogate``."""
    token = _surrogate.set(surrogate)
    try:
        yield
    finally:
        _surrogate.reset(token)


@contextmanager
def learning_surrogate(surrogate: SurrogateGradient | None) -> Iterator[None]:
    """Let a learning rule's derivative take the place of each neuron's own; ``None`` does not."""
    token = _of_rule.set(surrogate)
    try:
        yield
    finally:
        _of_rule.reset(token)


def surrogate_in_force(own: SurrogateGradient) -> SurrogateGradient:
    """The learning rule's derivative if there is one, else the neuron's ``own``."""
    return _of_rule.get() or own


@contextmanager
def gated(ready: Tensor) -> Iterator[None]:
    """Suppress the spikes made inside where ``ready`` is false, gradient included.

    A gate inside another lets through what both do.
    """
    outer = _gate.get()
    token = _gate.set(ready if outer is None else ready & outer)
    try:
        yield
    finally:
        _gate.reset(token)


@contextmanager
def watching() -> Iterator[list[Tensor]]:
    """A list to which each `spike` made inside adds its distance to the threshold."""
    seen: list[Tensor] = []
    token = _watched.set(seen)
    try:
        yield seen
    finally:
        _watched.reset(token)


@contextmanager
def firing_as(spikes: Tensor) -> Iterator[None]:
    """Let the step inside fire as a device did; the derivative stays that of the step's own spike.

    Raises:
        TraceError: the step has none or several places where it fires.
    """
    left = [spikes]
    token = _shown.set(left)
    try:
        yield
    finally:
        _shown.reset(token)
    if left:
        raise _fires_elsewhere("nowhere")


def as_shown(model: Tensor, shown: Tensor) -> Tensor:
    """What a device showed, bit for bit, and ``model`` where that is NaN; the gradient is model's.

    Args:
        model: any shape.
        shown: of the same shape.

    >>> model = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> y = as_shown(model, torch.tensor([0.25, torch.nan]))
    >>> y.detach(), torch.autograd.grad(y.sum(), model)[0]
    (tensor([0.2500, 2.0000]), tensor([1., 1.]))
    """
    return _AsShown.apply(model, shown)


def spike(u: Tensor, inclusive: bool = False) -> Tensor:
    """One where ``u > 0``, else zero (``u >= 0`` if ``inclusive``).

    Args:
        u: distance of the membrane to its threshold, ``v - v_threshold``, any shape.
        inclusive: whether a neuron exactly at its threshold fires.

    Returns:
        Spikes of ``u``'s shape and dtype. Their gradient is the surrogate's derivative at ``u``.

    >>> spike(torch.tensor([-0.5, 0.0, 0.5]))
    tensor([0., 0., 1.])
    """
    seen = _watched.get()
    if seen is not None:
        seen.append(u)
    return _put_in(_apply_gate(_Spike.apply(u, _surrogate.get(), inclusive)))


def spike_count(
    v: Tensor, v_threshold: Tensor, maximum: int = 31, inclusive: bool = False
) -> Tensor:
    """How many times ``v`` exceeds multiples of the threshold: 0, 1, ... ``maximum``.

    The count is ``ceil(v / v_threshold) - 1``, or ``floor(v / v_threshold)`` if ``inclusive``.

    Args:
        v: membrane potential, any shape.
        v_threshold: threshold, positive, broadcastable to ``v``.
        maximum: the most spikes in one step.
        inclusive: whether a neuron exactly at a multiple counts it.

    Returns:
        Counts of ``v``'s shape and dtype. With h the surrogate's derivative at the distance to
        the nearest multiple k in 1 ... ``maximum``, the gradient is h for ``v`` and -k h for
        ``v_threshold``.

    >>> spike_count(torch.tensor([0.5, 1.0, 2.5, 9.0]), torch.tensor(1.0), maximum=3)
    tensor([0., 0., 2., 3.])
    """
    counts = _SpikeCount.apply(v, v_threshold, _surrogate.get(), maximum, inclusive)
    return _put_in(_apply_gate(counts))


def _apply_gate(spikes: Tensor) -> Tensor:
    ready = _gate.get()
    return spikes if ready is None else torch.where(ready, spikes, torch.zeros_like(spikes))


def _put_in(spikes: Tensor) -> Tensor:
    """The spikes that a device showed in place of the step's own."""
    left = _shown.get()
    if left is None:
        return spikes
    if not left:
        raise _fires_elsewhere("several times")
    return as_shown(spikes, left.pop())


def _fires_elsewhere(how: str) -> TraceError:
    return TraceError(
        "engine.forward: a step that a device stands in for must call spike or spike_count "
        f"once, got one that calls them {how}. Let the program leave the layer's spikes out."
    )


class _AsShown(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(model: Tensor, shown: Tensor) -> Tensor:
        return torch.where(torch.isnan(shown), model, shown)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


class _Spike(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, surrogate: SurrogateGradient, inclusive: bool) -> Tensor:
        return (u >= 0 if inclusive else u > 0).to(u.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.surrogate = inputs[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (u,) = ctx.saved_tensors
        return grads[0] * ctx.surrogate.derivative(u), None, None


class _SpikeCount(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        v: Tensor, v_threshold: Tensor, surrogate: SurrogateGradient, maximum: int, inclusive: bool
    ) -> Tensor:
        ratio = v / v_threshold
        count = torch.floor(ratio) if inclusive else torch.ceil(ratio) - 1.0
        return torch.clamp(count, 0.0, float(maximum))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], inputs[1])
        ctx.surrogate, ctx.maximum = inputs[2], inputs[3]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        v, v_threshold = ctx.saved_tensors
        multiple = torch.clamp(torch.round(v / v_threshold), 1.0, float(ctx.maximum))
        grad_v = grads[0] * ctx.surrogate.derivative(v - multiple * v_threshold)
        grad_threshold = (-multiple * grad_v).sum_to_size(v_threshold.shape)
        return grad_v, grad_threshold, None, None, None
