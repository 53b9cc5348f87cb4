"""Augmentation of input spikes: new spikes, drawn by a generator that is given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.errors import ParameterError, ShapeError


@runtime_checkable
class Augmentation(Protocol):
    """Makes other input spikes of those of a batch."""

    def __call__(self, spikes: SpikeTimes, generator: torch.Generator) -> SpikeTimes:
        """Spikes of the same batch size, features and duration; ``spikes`` stay as they are."""
        ...


@dataclass(frozen=True)
class SpikeDropout:
    """Each spike is left out with probability ``p``.

    >>> spikes = SpikeTimes.from_first(torch.zeros(1, 1000), 1.0)
    >>> 150 < len(SpikeDropout(0.8)(spikes, torch.Generator().manual_seed(0))) < 250
    True
    """

    p: float

    def __post_init__(self) -> None:
        _check("SpikeDropout", "p", self.p, 1.0, "at least 0 and below 1")

    def __call__(self, spikes: SpikeTimes, generator: torch.Generator) -> SpikeTimes:
        chance = torch.rand(len(spikes), generator=generator).to(spikes.units.device)
        return _remake(spikes, spikes.times, spikes.units, chance >= self.p)


@dataclass(frozen=True)
class ChannelShift:
    """All spikes of a sample move by one whole number of channels, uniform in -most .. most.

    Spikes that leave the channels are left out. Input of one feature axis only.

    >>> spikes = SpikeTimes.from_first(torch.zeros(1, 9), 1.0)
    >>> ChannelShift(2)(spikes, torch.Generator().manual_seed(0)).units.diff().tolist()
    [1, 1, 1, 1, 1, 1]
    """

    most: int

    def __post_init__(self) -> None:
        _check("ChannelShift", "most", self.most, math.inf, "a whole number from 0")

    def __call__(self, spikes: SpikeTimes, generator: torch.Generator) -> SpikeTimes:
        each = torch.randint(-self.most, self.most + 1, (spikes.batch,), generator=generator)
        shift = each.to(spikes.units.device)[spikes.samples]
        return _moved("ChannelShift", spikes, spikes.units + shift)


@dataclass(frozen=True)
class ChannelJitter:
    """Each spike moves by a normal number of channels, rounded; sigma in channels.

    Spikes that leave the channels are left out. Input of one feature axis only.

    >>> spikes = SpikeTimes.from_first(torch.zeros(1, 9), 1.0)
    >>> ChannelJitter(0.0)(spikes, torch.Generator()).units.tolist() == list(range(9))
    True
    """

    sigma: float

    def __post_init__(self) -> None:
        _check("ChannelJitter", "sigma", self.sigma, math.inf, "at least 0")

    def __call__(self, spikes: SpikeTimes, generator: torch.Generator) -> SpikeTimes:
        draw = torch.randn(len(spikes), generator=generator, dtype=torch.float64)
        step = (self.sigma * draw).round().long().to(spikes.units.device)
        return _moved("ChannelJitter", spikes, spikes.units + step)


@dataclass(frozen=True)
class TimeDilation:
    """The times of each sample are multiplied by a factor, uniform in low .. high.

    Spikes that leave the trial are left out.

    >>> spikes = SpikeTimes.from_first(torch.full((1, 1), 0.25), 1.0)
    >>> TimeDilation(2.0, 2.0)(spikes, torch.Generator()).times.tolist()
    [0.5]
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high < math.inf:
            raise ParameterError(
                "augmentation.TimeDilation: low and high must be positive and in that order, got "
                f"{self.low!r} and {self.high!r}. Use 0.8 and 1.2, say."
            )

    def __call__(self, spikes: SpikeTimes, generator: torch.Generator) -> SpikeTimes:
        share = torch.rand(spikes.batch, generator=generator, dtype=torch.float64)
        factor = (self.low + (self.high - self.low) * share).to(spikes.times.device)
        times = spikes.times * factor[spikes.samples]
        return _remake(spikes, times, spikes.units, times <= spikes.duration)


def _moved(where: str, spikes: SpikeTimes, units: Tensor) -> SpikeTimes:
    if len(spikes.shape) != 1:
        raise ShapeError(
            f"augmentation.{where}: input must have one axis of channels, got features "
            f"{spikes.shape}. Leave the augmentation out."
        )
    return _remake(spikes, spikes.times, units, (units >= 0) & (units < spikes.size))


def _remake(spikes: SpikeTimes, times: Tensor, units: Tensor, kept: Tensor) -> SpikeTimes:
    like = (spikes.batch, spikes.shape, spikes.duration)
    return SpikeTimes.sort(times[kept], units[kept], spikes.samples[kept], like)


def _check(where: str, name: str, value: float, below: float, rule: str) -> None:
    if not 0 <= value < below or ("whole" in rule and not isinstance(value, int)):
        raise ParameterError(
            f"augmentation.{where}: {name} must be {rule}, got {value!r}. "
            "Leave the augmentation out for none."
        )
