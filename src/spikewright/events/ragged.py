"""Lists of marked times, one a sample: what is done to spikes on their way to a neuron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Ragged(NamedTuple):
    """Marked times of a batch.

    Args:
        times: (events,) float64, s; may carry a gradient.
        marks: (events,) int64: units of spikes, or rows of synapses of arrivals.
        offsets: (batch + 1,) int64; the events of sample b are ``offsets[b]:offsets[b + 1]``.
    """

    times: Tensor
    marks: Tensor
    offsets: Tensor

    @property
    def samples(self) -> Tensor:
        """The sample of each event, (events,) int64."""
        lengths = self.offsets.diff()
        index = torch.arange(len(lengths), device=lengths.device)
        return index.repeat_interleave(lengths, output_size=len(self.times))

    def fan_out(self, first: Tensor) -> Ragged:
        """An event of mark n becomes one of each mark from ``first[n]`` to ``first[n + 1] - 1``."""
        copies = first.diff()[self.marks]
        ends = copies.cumsum(0)
        source = torch.arange(len(copies), device=copies.device).repeat_interleave(copies)
        place = torch.arange(len(source), device=copies.device) - (ends - copies)[source]
        marks = first[self.marks][source] + place
        return Ragged(self.times[source], marks, _prefix(ends)[self.offsets])

    def take(self, which: Tensor) -> Ragged:
        """The events where the boolean (events,) is set."""
        offsets = _prefix(which.long().cumsum(0))[self.offsets]
        return Ragged(self.times[which], self.marks[which], offsets)

    def until(self, duration: float) -> Ragged:
        """The events that are not later than ``duration`` (s)."""
        inside = self.times.detach() <= duration
        return self if bool(inside.all()) else self.take(inside)

    def ordered(self, by_mark: bool = False) -> Ragged:
        """Sorted by time in each sample, those of one time as they stood, or by mark."""
        if not by_mark and self._is_ordered():
            return self
        place = self.marks if by_mark else None
        order = _order(self.times.detach(), self.offsets, place)
        return Ragged(self.times[order], self.marks[order], self.offsets)

    def _is_ordered(self) -> bool:
        falls = self.times.detach().diff() < 0
        return not bool((falls & (self.samples.diff() == 0)).any())


def merge(lists: Sequence[Ragged]) -> Ragged:
    """All events of several lists of one batch, sorted by time, equal times in list order."""
    if len(lists) == 1:
        return lists[0]
    order = torch.cat([part.samples for part in lists]).argsort(stable=True)
    times = torch.cat([part.times for part in lists])[order]
    marks = torch.cat([part.marks for part in lists])[order]
    offsets = torch.stack([part.offsets for part in lists]).sum(0)
    return Ragged(times, marks, offsets).ordered()


def _order(times: Tensor, offsets: Tensor, marks: Tensor | None) -> Tensor:
    """The order that sorts each sample by time, and by mark among equal times."""
    lengths = offsets.diff()
    width = int(lengths.max()) if len(times) else 0
    place = torch.arange(width, device=times.device)
    held = place < lengths[:, None]
    keys = times.new_full(held.shape, torch.inf).masked_scatter(held, times)
    if marks is None:
        order = keys.argsort(dim=1, stable=True)
    else:
        last = torch.iinfo(torch.int64).max
        second = marks.new_full(held.shape, last).masked_scatter(held, marks)
        order = second.argsort(dim=1, stable=True)
        order = order.gather(1, keys.gather(1, order).argsort(dim=1, stable=True))
    return (order + offsets[:-1, None])[held]


def _prefix(ends: Tensor) -> Tensor:
    """How many come before each place, the end included: (n,) to (n + 1,)."""
    return torch.cat([ends.new_zeros(1), ends])
