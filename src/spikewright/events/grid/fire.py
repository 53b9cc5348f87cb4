"""Spikes on the grid, and EventProp's sensitivities back through them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.engine.native import native
from spikewright.engine.once import differentiable_once
from spikewright.engine.threads import run_ranges
from spikewright.errors import EventError
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback
from spikewright.events.grid.arrivals import Array, layer_arrays, steps_of, work
from spikewright.events.grid.sums import parameter_gradients, parts_of, weight_gradient
from spikewright.events.solver import CALM, Fired, Limits

_ANY = np.iinfo(np.int64).max
WAY = "Take second derivatives with another rule."


class Setting(NamedTuple):
    """What `fire` is given, of which autograd follows only what it is told beside."""

    current: Current
    feedback: Feedback | None
    limits: Limits
    dt: float

    @property
    def steps(self) -> int:
        """The trial's length in steps."""
        return steps_of(self.current, self.dt)

    def layer(self, cells: Cells, slopes: bool = False) -> tuple[Any, ...]:
        """What the kernels call a layer."""
        return layer_arrays(self.current, cells, self.feedback, self.dt, slopes)


def fire(
    current: Current, cells: Cells, feedback: Feedback | None, limits: Limits, dt: float
) -> Fired:
    """The spikes of neurons that start at rest; see `Grid`."""
    fed = (None, None) if feedback is None else (feedback.synapses.weight, feedback.delay)
    setting = Setting(current, feedback, limits, dt)
    made = _Fire.apply(setting, current.times, current.synapses.weight, *fed, *cells)
    times, counts, last, units, offsets, stopped = made
    shape = (current.synapses.neurons,)
    spikes = SpikeTimes(times, units, offsets, shape, current.duration)
    return Fired(spikes, counts, last, int(stopped))


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, setting: Setting, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        size = setting.current.synapses.neurons
        spikes, last, stopped = _run(setting, cells_of(inputs[4:]))
        step, unit, slack, bounds = (torch.from_numpy(a) for a in spikes)
        ctx.setting = setting
        ctx.save_for_backward(*inputs, step, unit, slack, bounds)
        place = torch.arange(len(last)).repeat_interleave(bounds.diff()) * size + unit
        counts = torch.bincount(place, minlength=last.size).double().view(last.shape)
        rest = (unit.long(), bounds, torch.tensor(stopped))
        ctx.mark_non_differentiable(*rest)
        return step.double() * setting.dt, counts, torch.from_numpy(last), *rest

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        inputs, spikes = saved[:-4], tuple(t.numpy() for t in saved[-4:])
        seeds = [g.detach().contiguous().numpy() for g in grads[:3]]
        results = _gradients(ctx.setting, inputs, ctx.needs_input_grad[1:], spikes, seeds)
        return None, *differentiable_once("events.grid", WAY, results, (*inputs, *grads[:3]))


def cells_of(parameters: Sequence[Tensor | None]) -> Cells:
    """What autograd hands around in a row."""
    tau_mem, tau_syn, threshold, reset = parameters
    assert tau_mem is not None
    assert tau_syn is not None
    return Cells(tau_mem, tau_syn, threshold, reset)


def _run(setting: Setting, cells: Cells) -> tuple[tuple[Array, ...], Array, int]:
    """Spikes (step, neuron, tau_mem slope, bounds of each sample), last membranes, stopped."""
    limits, batch, layer = setting.limits, setting.current.batch, setting.layer(cells)
    number, stopped, endless = (np.full(batch, v, np.int64) for v in (0, 0, -1))
    last = np.empty((batch, setting.current.synapses.neurons))
    most = (_ANY if limits.spikes is None else limits.spikes, limits.bound)
    results, kernel = (number, last, stopped, endless), native(__package__, "fire").fire
    made: dict[int, tuple[Array, ...]] = {}

    def part(first: int, end: int) -> None:
        made[first] = kernel(setting.steps, most, layer, results, first, end)

    run_ranges(part, batch, work(setting.current, setting.steps))
    _check_endless(endless, limits.bound)
    lists = [np.concatenate(parts) for parts in zip(*(made[i] for i in sorted(made)), strict=True)]
    bounds = np.concatenate([[0], number.cumsum()])
    return (*lists, bounds), last, int(stopped.sum())


def _gradients(
    setting: Setting,
    inputs: tuple[Tensor | None, ...],
    needed: tuple[bool, ...],
    spikes: tuple[Array, ...],
    seeds: list[Array],
) -> list[Tensor | None]:
    """Of arrival times, weights, feedback weights and delays, and the cells' parameters."""
    g_time, g_count, g_last = seeds
    taus, parts = any(needed[4:6]), parts_of(setting.current)
    layer = setting.layer(cells_of(inputs[4:]), taus)
    states = np.zeros((len(g_last), 6 if taus else 3, g_last.shape[1]))
    states[:, 0] = g_last
    d_time = np.zeros(len(layer[0][0]) if needed[0] else 0)
    sums = [np.zeros((parts, len(a))) for a in (layer[1][0], layer[2][0][0], layer[2][2])]
    d_cells = np.zeros((parts, 4, g_last.shape[1]))
    arguments = (spikes, (g_time.copy(), g_count, states), (d_time, *sums, d_cells))
    run_ranges(
        partial(native(__package__, "unfire").unfire, setting.steps, layer, *arguments),
        parts,
        work(setting.current, setting.steps),
    )
    return [
        torch.from_numpy(d_time) if needed[0] else None,
        *(weight_gradient(s, t, n) for s, t, n in zip(sums, inputs[1:4], needed[1:4], strict=True)),
        *parameter_gradients(d_cells, inputs[4:], needed[4:]),
    ]


def _check_endless(endless: Array, bound: int) -> None:
    (where,) = np.nonzero(endless >= 0)
    if len(where):
        raise EventError(
            f"events.grid: a neuron must spike fewer than {bound:,} times in a trial, got as many "
            f"from neuron {endless[where[0]]} in sample {where[0]}. {CALM}"
        )
