"""Neurons with feedback on a GPU: one program for all neurons of a sample.

The forward pass writes a log of arrivals and spikes, the backward pass reads it in reverse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikewright.engine.gpu.backend import launch
from spikewright.engine.once import differentiable_once
from spikewright.errors import BackendError
from spikewright.events.current import Current, Feedback
from spikewright.events.exact.gradient import LEAST_RISE
from spikewright.events.gpu import synapses
from spikewright.events.gpu.lists import dense_weight
from spikewright.events.gpu.load import lanes, load
from spikewright.events.gpu.slots import ROOM, Slots, check_bound, most_spikes
from spikewright.events.ragged import Ragged
from spikewright.events.solver import Limits

MOST_NEURONS = 1024
"""Threads that one program may have."""
_SECOND = "Differentiate once, or by finite differences of the first gradient."


@dataclass(eq=False)
class Loop:
    """One run.

    Args:
        rows: (arrivals,), of the external arrivals.
        offsets: (batch + 1,), theirs.
        sources: (rows of the feedback,), the neuron whose spikes go through each.
        external: number of external rows; those of the feedback come after them.
        truncated: set by the run, number of (sample, neuron) that the limit stopped.
    """

    rows: Tensor
    offsets: Tensor
    sources: Tensor
    external: int
    neurons: int
    limits: Limits
    kind: str
    duration: float
    truncated: int = 0

    @property
    def row(self) -> tuple[int, int]:
        return len(self.offsets) - 1, self.neurons

    def launch(
        self, name: str, batch: int, tensors: list[Tensor], sizes: list[int], **constants: Any
    ) -> None:
        """Run a kernel, a program for each sample."""
        wide = max(lanes(), 1 << (self.neurons - 1).bit_length())
        launch(load("recurrent", name), batch, wide, tensors, sizes, **constants)


class _Log(NamedTuple):
    """What happened in each sample.

    Args:
        times: (batch, room), s.
        rows: (batch, room) int32, of an arrival, or -1 for spikes.
        numbers: (batch, room) int32, which spike of its neuron a fed-back arrival comes from.
        lengths: (batch,) int64.
    """

    times: Tensor
    rows: Tensor
    numbers: Tensor
    lengths: Tensor

    @classmethod
    def make(cls, like: Tensor, batch: int, room: int) -> _Log:
        rows, numbers = (like.new_empty((batch, room), dtype=torch.int32) for _ in range(2))
        lengths = like.new_zeros(batch, dtype=torch.int64)
        return cls(like.new_empty(batch, room), rows, numbers, lengths)

    def arrivals(self) -> Tensor:
        """Which entries are arrivals, (batch, room)."""
        place = torch.arange(self.rows.shape[1], device=self.rows.device)
        return (place < self.lengths[:, None]) & (self.rows >= 0)


def fire_recurrent(
    current: Current, feedback: Feedback, neurons: list[Tensor], kind: str, limits: Limits
) -> tuple[tuple[Tensor, ...], int]:
    """Times, units and samples of the spikes, counts and last u; and how many were stopped.

    Args:
        neurons: tau_mem, tau_syn, threshold and reset, each (neurons,).
        kind: of their time constants, see ``sources/cell.py``.
    """
    size = current.synapses.neurons
    if size > MOST_NEURONS:
        raise BackendError(
            f"events.gpu: a recurrent layer must have at most {MOST_NEURONS:,} neurons on a "
            f"GPU, got {size:,}. Move network and spikes to the CPU."
        )
    events = Ragged(current.times, current.rows, current.offsets).until(current.duration)
    outer, inner = dense_weight(current.synapses), dense_weight(feedback.synapses)
    index = torch.arange(size, device=events.marks.device)
    sources = index.repeat_interleave(feedback.first_row.diff(), output_size=len(inner))
    loop = Loop(
        events.marks, events.offsets, sources, len(outer), size, limits, kind, current.duration
    )
    weight = torch.cat([outer, inner])
    found: tuple[Tensor, ...] = _Recurrence.apply(
        loop, events.times, weight, feedback.delay.double(), *neurons
    )
    return found, loop.truncated


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loop: Loop, *tensors: Tensor) -> tuple[Tensor, ...]:
        slots, log, last = _run(loop, tensors)
        ctx.loop = loop
        ctx.save_for_backward(*tensors, *slots, *log)
        times, unit, sample = slots.spikes()
        ctx.mark_non_differentiable(unit, sample)
        return times, unit, sample, slots.counts.double(), last

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        slots, log = Slots(*tensors[7:10]), _Log(*tensors[10:14])
        given = (slots.spread(grads[0]), *(g.contiguous() for g in grads[3:]))
        results = _differentiate(ctx.loop, tensors[:7], slots, log, given)
        results = differentiable_once("events.gpu", _SECOND, results, (*tensors, *grads))
        return (None, *results)


def _run(loop: Loop, tensors: tuple[Tensor, ...]) -> tuple[Slots, _Log, Tensor]:
    """What happened, and u at the end; again with more room where there was too little."""
    times, weight, delay, *cells = (t.detach().contiguous() for t in tensors)
    batch, size = loop.row
    links, most = len(delay), most_spikes(loop.limits)
    duration = times.new_tensor(loop.duration)
    given = [times, loop.rows, weight, loop.offsets, loop.sources, delay, *cells, duration]
    spikes = min(most, ROOM)
    arrivals = int(loop.offsets.diff().max()) if batch else 0
    while True:
        room = arrivals + spikes * (size + links)
        slots = Slots.make(times, loop.row, spikes)
        delivered = times.new_zeros((batch, links), dtype=torch.int32)
        log = _Log.make(times, batch, room)
        full = times.new_zeros(batch, dtype=torch.int32)
        stopped, last = torch.zeros_like(slots.counts), times.new_zeros(loop.row)
        written = [*slots, delivered, *log, full, stopped, last]
        sizes = [size, links, loop.external, spikes, room, most]
        if batch and size:
            loop.launch("forward", batch, [*given, *written], sizes, KIND=loop.kind)
        if not bool(full.any()):
            loop.truncated = int(stopped.sum())
            check_bound(slots.counts, loop.limits)
            return slots, log, last
        spikes = min(most, 4 * spikes)


def _differentiate(
    loop: Loop, tensors: tuple[Tensor, ...], slots: Slots, log: _Log, given: tuple[Tensor, ...]
) -> list[Tensor | None]:
    """Gradients of arrival times, weights, delays and parameters, part by part of the batch."""
    times, weight, delay, *cells = (t.detach().contiguous() for t in tensors)
    batch, size = loop.row
    spikes, room = slots.times.shape[1], log.times.shape[1]
    g_cells = [times.new_zeros(loop.row) for _ in range(4)]
    g_weight, g_delay = torch.zeros_like(weight), torch.zeros_like(delay)
    g_times: list[Tensor] = [times[:0]]
    step = max(1, synapses.PART // max(1, room * size))
    for first in range(0, batch if size else 0, step):
        part = slice(first, min(batch, first + step))
        mine = _Log(*(each[part] for each in log))
        per_synapse = times.new_empty(*mine.rows.shape, size)
        per_arrival = torch.empty_like(mine.times)
        arguments = [
            weight, loop.sources, *cells, times.new_tensor(loop.duration),
            *(each[part] for each in slots), *mine, *(each[part] for each in given),
            per_synapse, per_arrival, *(each[part] for each in g_cells),
        ]  # fmt: skip
        sizes = [size, loop.external, spikes, room]
        loop.launch("backward", len(mine.times), arguments, sizes, LEAST=LEAST_RISE)
        there = mine.arrivals()
        rows, moved = mine.rows[there].long(), per_arrival[there]
        g_weight += synapses.sum_rows(rows, per_synapse[there], len(weight))
        back = rows >= loop.external
        g_times.append(moved[~back])
        links = rows[back] - loop.external
        g_delay += synapses.sum_rows(links, moved[back][:, None], len(delay)).flatten()
    return [torch.cat(g_times), g_weight, g_delay, *(g.sum(0) for g in g_cells)]
