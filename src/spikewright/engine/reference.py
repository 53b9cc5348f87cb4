"""The reference backend: the step in an eager loop, readable, and the judge of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright.engine.spike import firing_context
from spikewright.engine.surrogate import SurrogateGradient
from spikewright.engine.tracing.trace import Step
from spikewright.engine.wiring import Wiring

Outputs = Tensor | tuple[Tensor, ...]


def scan_reference(
    step: Step, inputs: Any, state: Any, coefficients: Any, surrogate: SurrogateGradient
) -> tuple[Outputs, Any]:
    """Run ``step`` over the first axis of ``inputs``; return stacked outputs and the last state."""
    leaves, tree = pytree.tree_flatten(inputs)
    rows: list[Any] = []
    with firing_context(surrogate):
        for parts in zip(*(leaf.unbind(0) for leaf in leaves), strict=True):
            row, state = step(pytree.tree_unflatten(parts, tree), state, coefficients)
            rows.append(row)
    if isinstance(rows[0], tuple):
        return tuple(torch.stack(column) for column in zip(*rows, strict=True)), state
    return torch.stack(rows), state


class Feedback(NamedTuple):
    """A connection from a layer's spikes of the last step back to its input.

    ``connect(spikes, state) -> (x, state)`` with ``spikes`` (batch, *n), ``x`` as the layer's
    input; ``spikes`` and ``state`` are those to begin with. ``wiring`` says the same for a
    kernel, or why it cannot.
    """

    connect: Callable[[Tensor, Any], tuple[Tensor, Any]]
    spikes: Tensor
    state: Any
    wiring: Wiring | str = "it is given as a function"


def scan_feedback_reference(
    step: Step,
    inputs: Any,
    state: Any,
    coefficients: Any,
    surrogate: SurrogateGradient,
    feedback: Feedback,
) -> tuple[Outputs, Any, Feedback]:
    """Like `scan_reference`, with the spikes of step t - 1 fed back into the input of step t."""
    leaves, tree = pytree.tree_flatten(inputs)
    rows: list[Any] = []
    with firing_context(surrogate):
        for x, *others in zip(*(leaf.unbind(0) for leaf in leaves), strict=True):
            fed, connection_state = feedback.connect(feedback.spikes, feedback.state)
            parts = [x + fed.reshape(x.shape), *others]
            row, state = step(pytree.tree_unflatten(parts, tree), state, coefficients)
            rows.append(row if isinstance(row, tuple) else (row,))
            feedback = feedback._replace(spikes=rows[-1][0], state=connection_state)
    columns = [torch.stack(column) for column in zip(*rows, strict=True)]
    return tuple(columns) if len(columns) > 1 else columns[0], state, feedback
