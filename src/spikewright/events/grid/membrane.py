"""Membranes on the grid: at each step, integrated with a weight, or their peaks."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikewright.engine.native import native
from spikewright.engine.once import differentiable_once
from spikewright.engine.threads import run_ranges
from spikewright.events.cells import Cells
from spikewright.events.current import Current
from spikewright.events.grid.arrivals import Array, layer_arrays, steps_of, work
from spikewright.events.grid.sums import parameter_gradients, parts_of, weight_gradient
from spikewright.events.solver import TimeWeight

SUM, PEAK, ALL = 0, 1, 2
WAY = "Take second derivatives with another rule."
SPAN = 1024
"""Steps whose weights are worked out at once, so that they do not take more memory with more."""


class View(NamedTuple):
    """What is to be seen of the membranes: one of the kinds of ``sources/watch.py``.

    Args:
        weight: for a weighted sum.
    """

    current: Current
    dt: float
    kind: int
    weight: TimeWeight | None = None

    @property
    def steps(self) -> int:
        """The trial's length in steps."""
        return steps_of(self.current, self.dt)

    def spans(self) -> list[range]:
        """The steps in spans, in order; only for a weighted sum more than one."""
        stride = self.steps if self.weight is None else SPAN
        return [range(n, min(n + stride, self.steps)) for n in range(0, self.steps, stride)]

    def weights(self, span: range) -> Array:
        """What each step of a span counts for, (1 or batch, steps)."""
        if self.weight is None:
            return np.empty((1, 0))
        rows = 1 if self.weight.shared else self.current.batch
        samples = None if self.weight.shared else torch.arange(rows).repeat_interleave(len(span))
        times = step_ends(span, self.dt).repeat(rows)
        values = self.weight(times, samples).double() / self.steps
        return values.reshape(rows, len(span)).numpy()

    def layer(self, cells: Cells, slopes: bool = False) -> tuple[Any, ...]:
        """What the kernels call a layer."""
        return layer_arrays(self.current, cells, None, self.dt, slopes)


def step_ends(steps: range, dt: float) -> Tensor:
    """When the membrane has its values of the steps, s: at their ends."""
    return torch.arange(steps.start + 1, steps.stop + 1, dtype=torch.float64) * dt


def watch(view: View, cells: Cells) -> Tensor:
    """What is seen: (batch, neurons), or for each step of each sample (batch * steps, neurons)."""
    times, weight = view.current.times, view.current.synapses.weight
    return _Watch.apply(view, times, weight, cells.tau_mem, cells.tau_syn)


class _Watch(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, view: View, *inputs: Tensor) -> Tensor:
        seen, *peaks = _run(view, Cells(*inputs[2:]))
        ctx.view = view
        ctx.save_for_backward(*inputs, *(torch.from_numpy(p) for p in peaks))
        return torch.from_numpy(seen)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, where, rise = ctx.saved_tensors
        peaks = where.numpy(), rise.numpy().copy()
        seed = grads[0].detach().contiguous().numpy()
        needed = ctx.needs_input_grad[1:]
        results = _gradients(ctx.view, inputs, needed, peaks, seed)
        return None, *differentiable_once("events.grid", WAY, results, (*inputs, *grads))


def _run(view: View, cells: Cells) -> tuple[Array, Array, Array]:
    """What is seen; the steps of peaks, and j - u there."""
    batch, size = view.current.batch, view.current.synapses.neurons
    layer, states = view.layer(cells), np.zeros((batch, 2, size))
    reached = layer[0][2][:-1].copy()
    seen = np.zeros((batch * (view.steps if view.kind == ALL else 1), size))
    peaks = batch if view.kind == PEAK else 0
    where, rise = np.full((peaks, size), -1, np.int32), np.zeros((peaks, size))
    kernel = native(__package__, "watch").watch
    for span in view.spans():
        bounds = (span.start, span.stop, view.steps)
        carried = (states, reached, view.weights(span), where, rise, seen)
        run_ranges(
            partial(kernel, bounds, view.kind, layer, carried),
            batch,
            work(view.current, len(span)),
        )
    return seen, where, rise


def _gradients(
    view: View,
    inputs: list[Tensor],
    needed: tuple[bool, ...],
    peaks: tuple[Array, Array],
    seed: Array,
) -> list[Tensor | None]:
    """Of arrival times, weights and the cells' time constants."""
    batch, size = view.current.batch, view.current.synapses.neurons
    taus, parts = any(needed[2:]), parts_of(view.current)
    layer = view.layer(Cells(*inputs[2:]), taus)
    states = np.zeros((batch, 6 if taus else 3, size))
    reached = layer[0][2][1:].copy()
    d_time = np.zeros(len(layer[0][0]) if needed[0] else 0)
    d_weight, d_cells = np.zeros((parts, len(layer[1][0]))), np.zeros((parts, 4, size))
    kernel, sums = native(__package__, "watch").unwatch, (d_time, d_weight, d_cells)
    for span in reversed(view.spans()):
        bounds = (span.start, span.stop, view.steps)
        carried = (states, reached, view.weights(span), *peaks, seed)
        run_ranges(
            partial(kernel, bounds, view.kind, layer, carried, sums),
            parts,
            work(view.current, len(span)),
        )
    return [
        torch.from_numpy(d_time) if needed[0] else None,
        weight_gradient(d_weight, inputs[1], needed[1]),
        *parameter_gradients(d_cells, tuple(inputs[2:]), needed[2:]),
    ]
