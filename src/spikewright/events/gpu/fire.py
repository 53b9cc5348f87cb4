"""`Exact.fire` on a GPU: one program for some neurons of one sample, adjoint backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.engine.gpu.backend import launch
from spikewright.engine.once import differentiable_once
from spikewright.errors import BackendError
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback
from spikewright.events.exact.gradient import LEAST_RISE
from spikewright.events.gpu.lists import Lists, make_lists
from spikewright.events.gpu.load import check_device, lanes, load
from spikewright.events.gpu.recurrent import fire_recurrent
from spikewright.events.gpu.slots import ROOM, Slots, check_bound, most_spikes
from spikewright.events.gpu.synapses import Parts
from spikewright.events.solver import Fired, Limits

_SECOND = "Differentiate once, or by finite differences of the first gradient."


def fire(
    current: Current,
    cells: Cells,
    feedback: Feedback | None,
    limits: Limits,
    gradient: str = "adjoint",
) -> Fired:
    """The spikes of neurons that start at rest; see `spikewright.events.solver.Solver`.

    Raises:
        BackendError: tensors that are on no GPU, more than 1,024 neurons with feedback, or another
            rule for the ``gradient`` than ``"adjoint"``.
        EventError: a neuron fires without end.
    """
    check_device(current.times.device)
    if gradient != "adjoint":
        raise BackendError(
            f"events.gpu: gradient must be 'adjoint' on a GPU, got {gradient!r}. Take "
            "sw.learning.EventProp, which gives the same gradient, or the CPU."
        )
    size, duration = current.synapses.neurons, float(current.duration)
    given = (cells.tau_mem, cells.tau_syn, cells.threshold, cells.reset)
    neurons = [_each(parameter, (size,)) for parameter in given]
    kind = _kind(*neurons[:2])
    if feedback is None:
        lists = make_lists(current)
        call = _Call(lists, limits, kind, duration)
        found = _Fire.apply(call, lists.times, lists.weight, *neurons)
        truncated = call.truncated
    else:
        found, truncated = fire_recurrent(current, feedback, neurons, kind, limits)
    times, units, samples, counts, last = found
    spikes = SpikeTimes.sort(times, units, samples, (current.batch, (size,), duration))
    return Fired(spikes, counts, last, truncated)


@dataclass(eq=False)
class _Call:
    """One run: what it is of, and how many neurons the limit stopped."""

    lists: Lists
    limits: Limits
    kind: str
    duration: float
    truncated: int = 0

    @property
    def row(self) -> tuple[int, int]:
        return self.lists.batch, self.lists.neurons


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        slots, last = _run(call, tensors)
        times, unit, sample = slots.spikes()
        ctx.call = call
        ctx.save_for_backward(*tensors, *slots)
        ctx.mark_non_differentiable(unit, sample)
        return times, unit, sample, slots.counts.double(), last

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        slots = Slots(*tensors[6:])
        given = (slots.spread(grads[0]), *(g.contiguous() for g in grads[3:]))
        results = _differentiate(ctx.call, tensors[:6], slots, given, ctx.needs_input_grad[1:])
        results = differentiable_once("events.gpu", _SECOND, results, (*tensors, *grads))
        return (None, *results)


def _run(call: _Call, tensors: tuple[Tensor, ...]) -> tuple[Slots, Tensor]:
    """The spikes, and u at the end; again with more room where the spikes found none."""
    times, weight, *cells = (t.detach().contiguous() for t in tensors)
    most = most_spikes(call.limits)
    room = min(most, ROOM)
    duration = times.new_tensor(call.duration)
    given = [times, call.lists.rows, weight, call.lists.offsets, *cells, duration]
    while True:
        slots, last = Slots.make(times, call.row, room), times.new_empty(call.row)
        stopped = torch.zeros_like(slots.counts)
        sizes = (*_sizes(call.row), room, most)
        constants = {"LISTED": call.lists.listed, "KIND": call.kind}
        _launch("forward", call.row, [*given, *slots, stopped, last], sizes, constants)
        highest = check_bound(slots.counts, call.limits)
        if highest <= room:
            call.truncated = int(stopped.sum())
            return slots, last
        room = highest


def _differentiate(
    call: _Call,
    tensors: tuple[Tensor, ...],
    slots: Slots,
    given: tuple[Tensor, ...],
    wanted: tuple[bool, ...],
) -> list[Tensor | None]:
    """Gradients of arrival times, weights and parameters, part by part of the batch."""
    times, weight, *cells = (t.detach().contiguous() for t in tensors)
    duration = times.new_tensor(call.duration)
    room = slots.times.shape[1]
    constants = {
        "LISTED": call.lists.listed, "ARRIVALS": wanted[0], "SYNAPSES": wanted[1],
        "CELLS": any(wanted[2:]), "LEAST": LEAST_RISE,
    }  # fmt: skip
    g_cells = [times.new_empty(call.row if any(wanted[2:]) else 0) for _ in range(4)]
    parts = Parts(call.lists, weight, *wanted[:2])
    for samples, part in parts:
        row = (samples.stop - samples.start, call.row[1])
        arguments = [
            part.times, part.rows, part.weight, part.offsets, *cells, duration,
            *(s[samples] for s in slots), *(g[samples] for g in given), *part.room,
            *(g[samples] for g in g_cells),
        ]  # fmt: skip
        _launch("backward", row, arguments, (*_sizes(row), room), constants)
        parts.add(part)
    found = [g.sum(0) if want else None for g, want in zip(g_cells, wanted[2:], strict=True)]
    return [*parts.gradients(), *found]


def _launch(
    name: str,
    row: tuple[int, int],
    tensors: list[Tensor],
    sizes: tuple[int, ...],
    constants: dict[str, Any],
) -> None:
    programs = row[0] * sizes[1]
    if programs:
        launch(load("fire", name), programs, lanes(), tensors, sizes, **constants)


def _sizes(row: tuple[int, int]) -> tuple[int, int]:
    """Neurons of a sample, and programs that share them."""
    return row[1], -(-row[1] // lanes())


def _each(parameter: Tensor | None, wide: tuple[int]) -> Tensor:
    assert parameter is not None
    return parameter.double().expand(wide)


def _kind(tau_mem: Tensor, tau_syn: Tensor) -> str:
    """Which closed form all neurons have, if any; see ``sources/cell.py``."""
    double, same = ((tau_mem == factor * tau_syn).all() for factor in (2, 1))
    double, same = torch.stack([double, same]).tolist()
    return "double" if double else "same" if same else "any"
