"""Gradients of weights and arrivals: from each arrival at each neuron, in parts of a batch.

Nothing is added atomically. A part's gradients are written side by side, then summed in the order
of the arrivals, so that results do not depend on chance; how large parts are depends on sizes only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.engine.gpu.products import Events, product
from spikewright.events.gpu.lists import Lists

PART = 2**25
"""Gradients of one kind that are kept at once, at most, unless a single sample has more."""


@dataclass(frozen=True, eq=False)
class Part:
    """Some samples: their lists, and room for gradients, empty where none is wanted.

    Args:
        room: gradients of weights and of arrivals, each (arrivals, neurons), or (arrivals, 1)
            where every neuron has its own list.
    """

    times: Tensor
    rows: Tensor
    weight: Tensor
    offsets: Tensor
    room: tuple[Tensor, Tensor]


class Parts:
    """The parts of a batch, and the sums over them.

    Args:
        lists: of the batch.
        weight: theirs, without a gradient.
        arrivals, synapses: which gradients are wanted.
    """

    def __init__(self, lists: Lists, weight: Tensor, arrivals: bool, synapses: bool) -> None:
        self._lists, self._weight = lists, weight
        self._wanted = (synapses, arrivals)
        self._width = 1 if lists.listed else lists.neurons
        self._weights: list[Tensor] = []
        self._times: list[Tensor] = []

    def __iter__(self) -> Iterator[tuple[slice, Part]]:
        lists = self._lists
        stride = lists.neurons if lists.listed else 1
        for first, last in self._bounds(stride):
            offsets = lists.offsets[first * stride : last * stride + 1]
            inside = slice(int(offsets[0]), int(offsets[-1]))
            weight = self._weight[inside] if lists.listed else self._weight
            times = lists.times.detach()[inside]
            room = [times.new_empty(len(times) * want, self._width) for want in self._wanted]
            part = Part(times, lists.rows[inside], weight, offsets - offsets[0], (room[0], room[1]))
            yield slice(first, last), part

    def _bounds(self, stride: int) -> list[tuple[int, int]]:
        """First and last sample of each part."""
        ends = self._lists.offsets[::stride].tolist() if self._lists.neurons else [0]
        found, first = [], 0
        for last in range(1, len(ends)):
            if last > first + 1 and (ends[last] - ends[first]) * self._width > PART:
                found.append((first, last - 1))
                first = last - 1
        return [*found, (first, len(ends) - 1)]

    def add(self, part: Part) -> None:
        """Take what a kernel wrote into the part's room."""
        synapses, arrivals = part.room
        listed = self._lists.listed
        if self._wanted[0]:
            self._weights.append(
                synapses.flatten() if listed else sum_rows(part.rows, synapses, len(self._weight))
            )
            if not listed:
                self._weights = [sum(self._weights[1:], self._weights[0])]
        if self._wanted[1]:
            self._times.append(arrivals.sum(1))

    def gradients(self) -> list[Tensor | None]:
        """Of the arrival times and of the weights."""
        times, weights = (
            torch.cat(each) if each else None for each in (self._times, self._weights)
        )
        return [times, weights]


def sum_rows(rows: Tensor, gradients: Tensor, count: int) -> Tensor:
    """For each of ``count`` rows the sum of the ``gradients`` (arrivals, neurons) through it."""
    row, order = rows.sort(stable=True)
    number = torch.arange(count + 1, device=rows.device)
    once = torch.ones(len(rows), dtype=torch.uint8, device=rows.device)
    starts = torch.searchsorted(row, number)
    return product(Events(starts, order.to(torch.int32), once, len(rows)), gradients.t())


def sum_samples(offsets: Tensor, values: Tensor) -> Tensor:
    """The sum of the ``values`` (places, neurons) of each sample, (batch, neurons)."""
    index = torch.arange(len(values), device=values.device, dtype=torch.int32)
    once = torch.ones(len(values), dtype=torch.uint8, device=values.device)
    return product(Events(offsets, index, once, len(values)), values.t())
