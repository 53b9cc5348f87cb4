"""Recordings of spikes kept as lists of times, handed out as they are or on a time grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.data.events import Events
from spikewright.data.split import Arrays, Sequences, Split


@dataclass(frozen=True, eq=False)
class SpikeLists:
    """Recordings one after the other, each sorted by time, spikes of equal time by unit.

    Attributes:
        times: (spikes,) float32, s.
        units: (spikes,) int16.
        offsets: (recordings + 1,) int64, where each begins, and the end.
        targets: (recordings,) int64, the classes.
    """

    times: Tensor
    units: Tensor
    offsets: Tensor
    targets: Tensor

    @classmethod
    def gather(cls, recordings: Iterable[Events], targets: Tensor) -> SpikeLists:
        """Put recordings, their events in any order, one after the other."""
        times, units = [np.empty(0, np.float32)], [np.empty(0, np.int16)]
        for events in recordings:
            order = np.lexsort((events.units, events.times))
            times.append(events.times[order].astype(np.float32))
            units.append(events.units[order].astype(np.int16))
        offsets = np.cumsum([len(part) for part in times])
        return cls(
            torch.from_numpy(np.concatenate(times)),
            torch.from_numpy(np.concatenate(units)),
            torch.from_numpy(offsets),
            targets,
        )

    def take(self, index: Tensor) -> SpikeLists:
        """The recordings of ``index``, (chosen,) int64, in that order."""
        first, lengths = self.offsets[index], self.offsets.diff()[index]
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        place = torch.arange(int(offsets[-1])) + (first - offsets[:-1]).repeat_interleave(lengths)
        return SpikeLists(self.times[place], self.units[place], offsets, self.targets[index])

    def until(self, duration: float) -> SpikeLists:
        """Without the spikes after ``duration``, s."""
        kept = self.times <= float(np.float32(duration))
        total = torch.cat([self.offsets.new_zeros(1), kept.cumsum(0)])
        return SpikeLists(self.times[kept], self.units[kept], total[self.offsets], self.targets)


class SpikeListSplit(Split):
    """Recordings of spikes, ``values`` (spikes,) the times of all of them, s.

    Args:
        load: called once, returns the recordings.
        grid: time steps, and the length of one, s; later spikes are left out.
        shape: feature shape.
        exact: hand out spike times, else counts on the grid, each at the nearest step.
    """

    def __init__(
        self,
        load: Callable[[], SpikeLists],
        grid: tuple[int, float],
        shape: tuple[int, ...],
        exact: bool,
    ) -> None:
        super().__init__(self._values, grid[0], shape)
        self._recordings, self._dt, self._exact = load, grid[1], exact

    @property
    def spikes(self) -> SpikeLists:
        """The recordings."""
        return self._cut[0]

    @property
    def left_out(self) -> int:
        """How many spikes lie after the end."""
        return self._cut[1]

    @cached_property
    def _cut(self) -> tuple[SpikeLists, int]:
        whole = self._recordings()
        kept = whole.until(self.steps * self._dt)
        return kept, len(whole.times) - len(kept.times)

    def _values(self) -> Arrays:
        return self.spikes.times, self.spikes.targets

    def _encode(self, index: Tensor, generator: torch.Generator | None) -> Sequences:
        chosen = self.spikes.take(index)
        duration = self.steps * self._dt
        # The nearest float32 to a time at the end may lie behind it.
        times = chosen.times.double().clamp(max=duration)
        spikes = SpikeTimes(times, chosen.units.long(), chosen.offsets, self.shape, duration)
        return spikes if self._exact else spikes.raster(self._dt, torch.float32)
