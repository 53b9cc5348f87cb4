"""Synthetic spike patterns: a random course of activity for each class, drawn anew each time."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from spikewright import seeding
from spikewright.coding.spike_times import SpikeTimes
from spikewright.data.split import Arrays, Sequences, Split, checked_count
from spikewright.data.store import DataSource
from spikewright.errors import ParameterError
from spikewright.units import check_dt

BUMPS = 6
"""Bursts of activity that make up a pattern."""


class SpikePatterns:
    """Patterns like spoken words: bursts of channels that lie side by side, then silence.

    A class is a list of bursts, each a Gaussian over channels and time. A sample of it draws
    Poisson spikes from their sum, after it has stretched time by up to ``stretch`` and moved the
    channels by up to ``shift`` of them all. Nothing happens after ``active``, as in recordings of
    words that are padded to one length. Handed out as `SpikeTimes`.

    Args:
        classes: number of patterns.
        channels: number of input channels.
        duration: length of a trial, s.
        active: end of the activity, s.
        spikes: expected spikes of a sample.
        dt: time step of networks that run on a grid, s.
        stretch: greatest relative change of the time scale.
        shift: greatest move, as a share of the channels.
        sizes: samples in train, validation and test.
        seed: of the patterns and all samples.

    Raises:
        ParameterError: a number is out of range.

    >>> data = SpikePatterns(classes=2, channels=50, spikes=400, sizes=(20, 10, 10))
    >>> x, y = data.train.batch([0, 1])
    >>> x.shape, y.tolist(), bool(x.times.max() < 0.7), 500 < len(x) < 1100
    ((50,), [0, 1], True, True)
    """

    source = DataSource(
        name="spike-patterns",
        title="Spike patterns (generated, nothing to fetch)",
        licence="Apache-2.0",
        citation="",
        page="",
        files=(),
    )

    def __init__(  # noqa: PLR0913 - all with defaults
        self,
        classes: int = 10,
        channels: int = 100,
        duration: float = 1.4,
        active: float = 0.7,
        spikes: float = 1200.0,
        dt: float = 1e-3,
        stretch: float = 0.1,
        shift: float = 0.02,
        sizes: tuple[int, int, int] = (1000, 200, 200),
        seed: int = 0,
    ) -> None:
        where = "SpikePatterns"
        count = checked_count(where, "classes", classes, least=2) or classes
        self.name = self.source.name
        self.classes = tuple(str(number) for number in range(count))
        self.channels = checked_count(where, "channels", channels) or channels
        self.dt = check_dt(where, dt)
        if not 0 < active <= duration < math.inf:
            raise ParameterError(
                f"{where}: active must be above 0 s and at most a finite duration, {duration:g} s, "
                f"got {active:g} s. Leave active out, or make trials longer."
            )
        if not (0 <= stretch < 1 and 0 <= shift < 1 and 0 < spikes < math.inf):
            raise ParameterError(
                f"{where}: stretch and shift must lie in [0, 1) and spikes above 0, got "
                f"{stretch:g}, {shift:g} and {spikes:g}. Use the defaults."
            )
        self.duration, self.active, self.spikes = duration, active, spikes
        self.stretch, self.shift, self.seed = stretch, shift, seed
        self.train, self.validation, self.test = (
            PatternSplit(self, checked_count(where, "sizes", size, least=0) or 0, part)
            for size, part in zip(sizes, ("train", "validation", "test"), strict=True)
        )

    @cached_property
    def bursts(self) -> Tensor:
        """(classes, bursts, 4): centre and width over channels (share), and over time (s)."""
        stream = seeding.generator(self.seed, "patterns")
        drawn = torch.rand(len(self.classes), BUMPS, 4, generator=stream, dtype=torch.float64)
        low = torch.tensor([0.1, 0.02, 0.15 * self.active, 0.03 * self.active])
        high = torch.tensor([0.9, 0.08, 0.75 * self.active, 0.08 * self.active])
        return low + (high - low) * drawn


class PatternSplit(Split):
    """Samples that are drawn when they are asked for, each always the same."""

    def __init__(self, data: SpikePatterns, size: int, part: str) -> None:
        steps = max(1, round(data.duration / data.dt))
        super().__init__(lambda: _labels(size, len(data.classes)), steps, (data.channels,))
        self._data, self._part = data, part

    def _encode(self, index: Tensor, generator: torch.Generator | None) -> Sequences:
        drawn = [self._draw(sample) for sample in index.tolist()]
        samples = np.repeat(np.arange(len(drawn)), [len(times) for times, _ in drawn])
        times, units = (torch.from_numpy(np.concatenate(part)) for part in zip(*drawn, strict=True))
        like = (len(drawn), self.shape, self._data.duration)
        return SpikeTimes.sort(times, units, torch.from_numpy(samples), like)

    def _draw(self, sample: int) -> tuple[np.ndarray, np.ndarray]:
        """Spike times, s, and channels of one sample."""
        data = self._data
        random = np.random.default_rng(seeding.derive(data.seed, "sample", self._part, sample))
        bursts = data.bursts[self.targets[sample]].numpy()
        which = bursts[random.integers(BUMPS, size=random.poisson(data.spikes))]
        channel = random.normal(which[:, 0], which[:, 1]) + random.uniform(-1, 1) * data.shift
        stretched = 1 + random.uniform(-1, 1) * data.stretch
        time = random.normal(which[:, 2], which[:, 3]) * stretched
        kept = (channel >= 0) & (channel < 1) & (time >= 0) & (time <= data.active)
        return time[kept], (channel[kept] * data.channels).astype(np.int64)


def _labels(size: int, classes: int) -> Arrays:
    labels = torch.arange(size) % classes
    return labels[:, None], labels
