"""Firing as one operation of PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.engine.once import differentiable_once
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback
from spikewright.events.exact.forward import Outcome
from spikewright.events.exact.forward import fire as run
from spikewright.events.exact.gradient import Given, Gradient, Rule
from spikewright.events.exact.history import Array, Floats, Problem
from spikewright.events.exact.parameters import parameter_gradients
from spikewright.events.exact.problem import problem_of
from spikewright.events.solver import Fired, Limits

_SECOND = "Exact spike times have first derivatives only."
_CELLS = slice(4, 8)


def fire(
    current: Current, cells: Cells, feedback: Feedback | None, limits: Limits, rule: Rule
) -> Fired:
    """The spikes of neurons that start at rest, with gradients by ``rule``."""
    problem = problem_of(current, cells, feedback)
    outcome = run(problem, limits)
    back = (None, None) if feedback is None else (feedback.synapses.weight, feedback.delay)
    inputs = (current.times, current.synapses.weight, *back, *cells)
    times, counts, last = _Fire.apply(problem, outcome, rule, *inputs)
    units, offsets = outcome.history.spike_units, outcome.history.spike_offsets
    listed = (times, torch.from_numpy(units), torch.from_numpy(offsets))
    spikes = SpikeTimes(*listed, (problem.neurons,), problem.duration)
    return Fired(spikes, counts, last, outcome.stopped)


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, problem: Problem, outcome: Outcome, rule: Rule, *inputs: Tensor | None
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.problem, ctx.history, ctx.rule, ctx.inputs = problem, outcome.history, rule, inputs
        found = (outcome.history.spike_times, outcome.counts, outcome.last)
        return tuple(torch.from_numpy(values) for values in found)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        problem, history, needs = ctx.problem, ctx.history, ctx.needs_input_grad[3:]
        size = (problem.batch, problem.neurons)
        shapes = (history.spike_times.shape, size, size)
        given = Given(*(_given(g, shape) for g, shape in zip(grads, shapes, strict=True)))
        gradient = ctx.rule(problem, history, given, needs[0])
        found: list[Array | None] = [*_connections(problem, gradient), None, None, None, None]
        if any(needs[_CELLS]):
            taus = any(needs[4:6])
            found[_CELLS] = parameter_gradients(problem, history, given, gradient.membrane, taus)
        results = [_like(*each) for each in zip(found, ctx.inputs, needs, strict=True)]
        sources = (*(i for i in ctx.inputs if i is not None), *grads)
        return (None, None, None, *differentiable_once("events.exact", _SECOND, results, sources))


def _given(gradient: Tensor | None, shape: Sequence[int]) -> Floats:
    if gradient is None:
        return np.zeros(shape)
    return np.ascontiguousarray(gradient.detach().double().numpy())


def _connections(problem: Problem, gradient: Gradient) -> list[Array | None]:
    """Gradients of arrival times, external weights, weights of the feedback and its delays."""
    weight, external = gradient.weight.ravel(), problem.rows.external_size
    return [gradient.times, weight[:external], weight[external:], gradient.delay]


def _like(values: Array | None, source: Tensor | None, needed: bool) -> Tensor | None:
    """A gradient in the shape of what it belongs to, which all neurons may share."""
    if values is None or source is None or not needed:
        return None
    found = torch.from_numpy(values)
    found = found.sum() if source.numel() == 1 and found.numel() != 1 else found
    return found.reshape(source.shape).to(source.dtype)
