"""One operation runs a step over a sequence, on the backend asked for."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright.engine import cpu
from spikewright.engine.layer import Shape
from spikewright.engine.reference import (
    Feedback,
    Outputs,
    scan_feedback_reference,
    scan_reference,
)
from spikewright.engine.spike import DEFAULT_SURROGATE, surrogate_in_force
from spikewright.engine.spread import spread
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.engine.trace import Step
from spikewright.errors import BackendError, ShapeError, nearest

Backend = Literal["auto", "reference", "cpu"]
BACKENDS: tuple[Backend, ...] = ("auto", "reference", "cpu")


@dataclass(frozen=True)
class Choice:
    """The backend that runs, and why."""

    backend: Backend
    reason: str

    def __str__(self) -> str:
        return f"{self.backend} ({self.reason})"


def scan(
    step: Step,
    inputs: Any,
    state: Any,
    coefficients: Any,
    *,
    features: Shape,
    surrogate: SurrogateGradient = DEFAULT_SURROGATE,
    backend: Backend = "auto",
) -> tuple[Outputs, Any]:
    """Run ``step(x, state, coefficients) -> (outputs, state)`` over a sequence.

    The step sees one time step: inputs and state ``(batch, *features)``, coefficients scalar or
    broadcastable to ``features``. Each may have one small trailing axis more. A compiled backend
    traces the step once; values it reads from outside its arguments are fixed then.

    Args:
        step: pure function of tensors. Outputs are a tensor or a tuple of tensors.
        inputs: tensor or tree of tensors, (time, batch, *features[, k]).
        state: tree of tensors, broadcastable to (batch, *features[, k]).
        coefficients: tree of tensors of shape (), features or (*features or ones, k).
        features: shape of one sample at one time.
        surrogate: derivative of the spikes.
        backend: ``"auto"`` takes the fastest that can run these tensors.

    Returns:
        The outputs, (time, batch, *features[, k]), and the state after the last step.

    Raises:
        ShapeError: sizes disagree.
        BackendError: the backend asked for cannot run this.

    The gradient is that of the eager loop with the surrogate in place of each spike's derivative.

    >>> def leak(x, v, a):
    ...     v = a * v + x
    ...     return v, v
    >>> x, v, a = torch.ones(3, 1, 1), torch.zeros(1), torch.tensor(0.5)
    >>> out, last = scan(leak, x, v, a, features=(1,))
    >>> out.flatten()
    tensor([1.0000, 1.5000, 1.7500])
    """
    inputs, state, coefficients, dtype = _prepare(inputs, state, coefficients, features)
    surrogate = surrogate_in_force(surrogate)
    choice = choose_backend(pytree.tree_leaves(inputs)[0], dtype, backend)
    if choice.backend == "cpu":
        return cpu.scan_cpu(step, inputs, state, coefficients, features, surrogate)
    outputs, state = scan_reference(step, inputs, state, coefficients, surrogate)
    return pytree.tree_map(lambda y: y.to(dtype), (outputs, state))


def scan_feedback(  # noqa: PLR0913 - scan's own and the feedback
    step: Step,
    inputs: Any,
    state: Any,
    coefficients: Any,
    feedback: Feedback,
    *,
    features: Shape,
    surrogate: SurrogateGradient = DEFAULT_SURROGATE,
    backend: Backend = "auto",
) -> tuple[Outputs, Any, Feedback]:
    """`scan` for a recurrent layer: spikes of one step join the input of the next.

    Runs on the reference backend; ``backend="cpu"`` is an error.

    Returns:
        The outputs, the last state, and the feedback to go on with.
    """
    choose_recurrent_backend(backend)
    inputs, state, coefficients, _ = _prepare(inputs, state, coefficients, features)
    surrogate = surrogate_in_force(surrogate)
    return scan_feedback_reference(step, inputs, state, coefficients, surrogate, feedback)


def choose_recurrent_backend(backend: Backend) -> Choice:
    """The backend of a recurrent layer, or BackendError if another is asked for."""
    if backend == "cpu":
        raise BackendError(
            "engine.scan: backend of a recurrent layer must be 'auto' or 'reference', got 'cpu'. "
            "Its product is computed step by step; use backend='auto'."
        )
    return Choice("reference", "the recurrent product is computed step by step")


def _prepare(
    inputs: Any, state: Any, coefficients: Any, features: Shape
) -> tuple[Any, Any, Any, torch.dtype]:
    leaves = pytree.tree_leaves(inputs)
    dtype = compute_dtype(leaves, pytree.tree_leaves(coefficients))
    _check(leaves, features)
    inputs = pytree.tree_map(lambda x: x.to(dtype), inputs)
    batch = leaves[0].shape[1]
    state = pytree.tree_map(lambda s: _expand(s.to(dtype), batch, features), state)
    coefficients = pytree.tree_map(lambda c: c.to(dtype), coefficients)
    return inputs, state, coefficients, dtype


def check_backend(backend: Backend) -> Backend:
    """Return ``backend`` if there is one of that name, else raise BackendError."""
    if backend not in BACKENDS:
        raise BackendError(
            f"engine.scan: backend must be one of {', '.join(BACKENDS)}, got {backend!r}. "
            f"{nearest(backend, BACKENDS)}"
        )
    return backend


def choose_backend(x: Tensor, dtype: torch.dtype, backend: Backend) -> Choice:
    """Which backend runs a sequence like ``x``, computed in ``dtype``, and why.

    Raises:
        BackendError: the backend asked for is unknown or cannot run such tensors.
    """
    check_backend(backend)
    if backend == "reference":
        return Choice("reference", "asked for")
    obstacle = cpu.obstacle(x.device, dtype)
    if obstacle is None:
        why = "asked for" if backend == "cpu" else f"{str(dtype).removeprefix('torch.')} on the CPU"
        return Choice("cpu", why)
    if backend == "cpu":
        raise BackendError(
            f"engine.scan: backend 'cpu' must be given {cpu.REQUIREMENT}, got {obstacle}. "
            "Convert the network, or use backend='reference'."
        )
    return Choice("reference", f"cpu cannot run {obstacle}")


def compute_dtype(inputs: list[Tensor], coefficients: list[Tensor]) -> torch.dtype:
    """The dtype of the state: that of the coefficients, whatever precision the input has."""
    floating = [c.dtype for c in coefficients if c.is_floating_point()]
    if floating:
        return functools.reduce(torch.promote_types, floating)
    return inputs[0].dtype if inputs[0].is_floating_point() else torch.get_default_dtype()


def _check(leaves: list[Tensor], features: Shape) -> None:
    lead = leaves[0].shape[:2]
    for x in leaves:
        if x.shape[:2] != lead or tuple(x.shape[2 : 2 + len(features)]) != tuple(features):
            raise ShapeError(
                f"engine.scan: input must be (time, batch, *{tuple(features)}), got "
                f"{tuple(x.shape)}. Put time first and batch second."
            )
    if 0 in lead:
        raise ShapeError(
            f"engine.scan: time and batch must be at least 1, got {tuple(lead)}. "
            "Leave out empty sequences and batches."
        )


def _expand(s: Tensor, batch: int, features: Shape) -> Tensor:
    trailing = s.shape[1 + len(features) :] if s.ndim > 1 + len(features) else ()
    if s.ndim >= 1 + len(features) and s.shape[0] not in (1, batch):
        raise ShapeError(
            f"engine.scan: state must be of the input's batch size {batch}, got {s.shape[0]}. "
            "Pass state=None for a fresh start, or the state of the same samples."
        )
    pairs = zip(s.shape[1:], features, strict=False)
    if s.ndim >= 1 + len(features) and any(own not in (1, needed) for own, needed in pairs):
        raise ShapeError(
            f"engine.scan: state must be of the layer's features {tuple(features)}, got shape "
            f"{tuple(s.shape)}. Pass state=None for a fresh start, or this layer's own state."
        )
    if s.ndim == len(features) + 1 or trailing:
        return spread(s, (batch, *features, *trailing))
    return spread(s, (batch, *features))
