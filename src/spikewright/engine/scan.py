"""One operation runs a step over a sequence, on the backend asked for."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from spikewright.engine import trees
from spikewright.engine.cpu import backend as cpu
from spikewright.engine.gpu import backend as gpu
from spikewright.engine.gpu.recurrent import scan_recurrent_gpu
from spikewright.engine.layer import Shape
from spikewright.engine.recurrent.backend import scan_recurrent
from spikewright.engine.reference import (
    Feedback,
    Outputs,
    scan_feedback_reference,
    scan_reference,
)
from spikewright.engine.spike import DEFAULT_SURROGATE, surrogate_in_force
from spikewright.engine.spread import spread
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.engine.traced import is_traced
from spikewright.engine.tracing.trace import Step
from spikewright.engine.wiring import Wiring
from spikewright.errors import BackendError, ShapeError, nearest

Backend = Literal["auto", "reference", "cpu", "gpu"]
BACKENDS: tuple[Backend, ...] = ("auto", "reference", "cpu", "gpu")


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
    first, dtype = _check(inputs, coefficients, features)
    surrogate = surrogate_in_force(surrogate)
    choice = choose_backend(first, dtype, backend)
    traced = choice.backend != "reference" and is_traced(first)
    if choice.backend == "gpu":
        kind = gpu.state_dtype(dtype)
        state, coefficients = _prepare(state, coefficients, first.shape[1], features, kind)
        if traced:
            inputs = trees.map_leaves(lambda x: x if x.is_floating_point() else x.to(dtype), inputs)
            return _registered_scan(
                step, inputs, state, coefficients, features, surrogate, (dtype, True)
            )
        return gpu.scan_gpu(step, inputs, state, coefficients, features, surrogate, dtype)
    inputs = trees.map_leaves(lambda x: x.to(dtype), inputs)
    state, coefficients = _prepare(state, coefficients, first.shape[1], features, dtype)
    if traced:
        parts = step, inputs, state, coefficients, features, surrogate
        return _registered_scan(*parts, (dtype, False))
    if choice.backend == "cpu":
        return cpu.scan_cpu(step, inputs, state, coefficients, features, surrogate)
    outputs, state = scan_reference(step, inputs, state, coefficients, surrogate)
    return trees.map_leaves(lambda y: y.to(dtype), (outputs, state))


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

    Returns:
        The outputs, the last state, and the feedback to go on with.
    """
    first, dtype = _check(inputs, coefficients, features)
    surrogate, wiring = surrogate_in_force(surrogate), feedback.wiring
    choice = choose_recurrent_backend(first, dtype, backend, wiring)
    on_gpu = choice.backend == "gpu"
    kind = gpu.state_dtype(dtype) if on_gpu else dtype
    if not on_gpu:
        inputs = trees.map_leaves(lambda x: x.to(dtype), inputs)
    state, c = _prepare(state, coefficients, first.shape[1], features, kind)
    if choice.backend == "reference" or isinstance(wiring, str):
        return scan_feedback_reference(step, inputs, state, c, surrogate, feedback)
    arguments = step, inputs, state, c, surrogate, wiring
    if is_traced(first):
        outputs, state, past = _registered_recurrent_scan(*arguments, (dtype, on_gpu))
    elif on_gpu:
        outputs, state, past = scan_recurrent_gpu(*arguments, dtype)
    else:
        outputs, state, past = scan_recurrent(*arguments)
    held = past[:-1].transpose(0, 1).contiguous() if len(past) > 1 else None
    return outputs, state, feedback._replace(spikes=past[-1], state=held)


def _registered_scan(*arguments: Any) -> tuple[Outputs, Any]:
    from spikewright.engine.custom_ops.scan import scan

    return scan(*arguments)


def _registered_recurrent_scan(*arguments: Any) -> tuple[Outputs, Any, Tensor]:
    from spikewright.engine.custom_ops.recurrent import recurrent_scan

    return recurrent_scan(*arguments)


def choose_recurrent_backend(
    x: Tensor, dtype: torch.dtype, backend: Backend, wiring: Wiring | str
) -> Choice:
    """Which backend runs a recurrent layer, and why; see `choose_backend`."""
    choice = choose_backend(x, dtype, backend)
    if choice.backend == "reference":
        return choice
    obstacle = wiring if isinstance(wiring, str) else _other_dtype(wiring.weight, dtype)
    if obstacle is None:
        return Choice(choice.backend, f"{choice.reason}, recurrence inside the kernel")
    if backend != "auto":
        raise BackendError(
            f"engine.scan: a recurrent layer with backend {backend!r} must have a Linear or a "
            "connection with fixed delays of whole steps, got one that cannot go into a kernel: "
            f"{obstacle}. Use backend='auto', which takes the reference for it."
        )
    return Choice("reference", obstacle)


def _other_dtype(weight: Tensor, dtype: torch.dtype) -> str | None:
    return None if weight.dtype == dtype else f"its weights are {weight.dtype}"


def _prepare(
    state: Any, coefficients: Any, batch: int, features: Shape, dtype: torch.dtype
) -> tuple[Any, Any]:
    """State and coefficients in ``dtype``, the state for each sample and neuron."""
    state = trees.map_leaves(lambda s: _expand(s.to(dtype), batch, features), state)
    return state, trees.map_leaves(lambda c: c.to(dtype), coefficients)


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
    name: Backend = ("gpu" if x.is_cuda else "cpu") if backend == "auto" else backend
    place = gpu if name == "gpu" else cpu
    obstacle = place.obstacle(x.device, dtype)
    if obstacle is None:
        kind = str(dtype).removeprefix("torch.")
        why = f"{kind} on the {name.upper()}" if backend == "auto" else "asked for"
        return Choice(name, why)
    if backend == name:
        raise BackendError(
            f"engine.scan: backend {name!r} must be given {place.REQUIREMENT}, got {obstacle}. "
            f"{place.WAY}, or use backend='reference'."
        )
    return Choice("reference", f"{name} cannot run {obstacle}")


def compute_dtype(inputs: list[Tensor], coefficients: list[Tensor]) -> torch.dtype:
    """The dtype of the state: that of the coefficients, whatever precision the input has."""
    floating = [c.dtype for c in coefficients if c.is_floating_point()]
    if floating:
        return functools.reduce(torch.promote_types, floating)
    return inputs[0].dtype if inputs[0].is_floating_point() else torch.get_default_dtype()


def _check(inputs: Any, coefficients: Any, features: Shape) -> tuple[Tensor, torch.dtype]:
    """The first input, and the dtype of the result."""
    leaves = trees.leaves(inputs)
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
    return leaves[0], compute_dtype(leaves, trees.leaves(coefficients))


def _expand(s: Tensor, batch: int, features: Shape) -> Tensor:
    if s.shape == (batch, *features):
        return s
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
