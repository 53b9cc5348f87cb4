"""Where kernels write spikes: a bounded number of places for each neuron of each sample."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from spikewright.errors import EventError
from spikewright.events.solver import CALM, Limits

ROOM = 8
"""Spikes of a neuron that there is room for at first; where it is too little, a run is repeated."""


class Slots(NamedTuple):
    """Spikes of each neuron by their number.

    Args:
        times: (batch, slots, neurons), s.
        currents: the same of j at the spike.
        counts: (batch, neurons) int32, how many slots are filled.
    """

    times: Tensor
    currents: Tensor
    counts: Tensor

    @classmethod
    def make(cls, like: Tensor, row: tuple[int, int], room: int) -> Slots:
        """Slots for ``room`` spikes of each neuron; nothing is counted yet."""
        times, currents = (like.new_empty(row[0], room, row[1]) for _ in range(2))
        return cls(times, currents, like.new_zeros(row, dtype=torch.int32))

    def spikes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Times, units and samples of all spikes, sample by sample."""
        filled = self._filled()
        sample, _, unit = filled.nonzero(as_tuple=True)
        return self.times[filled], unit, sample

    def spread(self, values: Tensor) -> Tensor:
        """Values for `spikes` in their slots, 0 in the others; a new tensor."""
        found = torch.zeros_like(self.times)
        found[self._filled()] = values
        return found

    def _filled(self) -> Tensor:
        number = torch.arange(self.times.shape[1], device=self.times.device)
        return number[:, None] < self.counts[:, None]


def most_spikes(limits: Limits) -> int:
    """Spikes of a neuron after which it does not go on."""
    return limits.bound if limits.spikes is None else limits.spikes


def check_bound(counts: Tensor, limits: Limits) -> int:
    """The most spikes of a neuron; waits for the device.

    Raises:
        EventError: it fires without end.
    """
    highest = int(counts.max()) if counts.numel() else 0
    if highest < limits.bound:
        return highest
    sample, unit = divmod(int(counts.argmax()), counts.shape[1])
    raise EventError(
        f"events.gpu: a neuron must spike fewer than {limits.bound:,} times in a trial, got as "
        f"many from neuron {unit} in sample {sample}. {CALM}"
    )
