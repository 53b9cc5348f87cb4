"""The link between host and chip: events lose some of their time, and some are lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import ParameterError
from spikewright.targets.brainscales2.chip import MOST_ADDRESS
from spikewright.targets.brainscales2.twin.native import noise

WINDOW = 1e-6
"""Seconds over which the rate of events is limited."""
_TICK, _TICKS = 1e-9, np.uint64(1 << 24)
"""s by which events are told apart, and more of them than a sample has."""
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Link:
    """What the link does to events.

    Args:
        rate_in, rate_out: the most events per µs to the chip and from it; the later ones of each
            µs are lost. 250 is the order of the real link's peak rate (from memory).
        jitter: standard deviation of the time of an event, on either way, s.
        latency: from a spike to the rows that listen to it, on the chip, s; whole internal steps,
            and at least one.
    """

    rate_in: int = 250
    rate_out: int = 250
    jitter: float = 20e-9
    latency: float = 0.5e-6

    def __post_init__(self) -> None:
        for name, least in (("rate_in", 1), ("rate_out", 1), ("jitter", 0), ("latency", 0)):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= least):
                raise ParameterError(
                    f"brainscales2.Link: {name} must be at least {least}, got {value!r}. "
                    "Leave it out for the usual one."
                )


def passing(time: NDArray[np.float64], sample: NDArray[np.int32], rate: int) -> NDArray[np.bool_]:
    """Which events the link lets through: the first ``rate`` of each µs of each sample.

    >>> times, sample = np.array([0.1e-6, 0.3e-6, 0.2e-6, 1.1e-6]), np.zeros(4, np.int32)
    >>> passing(times, sample, 2).tolist()
    [True, False, True, True]
    """
    if len(time) <= rate:
        return np.ones(len(time), np.bool_)
    order = np.lexsort((time, sample))
    windows = np.floor(time[order] / WINDOW).astype(np.int64)
    new = (np.diff(windows, prepend=-1) != 0) | (np.diff(sample[order], prepend=-1) != 0)
    starts = np.flatnonzero(new)
    rank = np.arange(len(time)) - starts[np.cumsum(new) - 1]
    kept = np.empty(len(time), np.bool_)
    kept[order] = rank < rate
    return kept


def jittered(
    events: tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]],
    spread: float,
    seconds: float,
    seed: int,
    way: str,
) -> NDArray[np.float64]:
    """The times of events after their way over the link, s.

    Each event's jitter hangs on itself and the seed, not on what other events there are.

    Args:
        events: times, source and number of the sample.
        spread: standard deviation, s.
        seconds: end of the sample; no event leaves it.
        way: a name for the stream of random numbers.
    """
    time, source, sample = events
    if not spread:
        return time
    tick = np.rint(time / _TICK).astype(np.uint64)
    word = (sample.astype(np.uint64) * _TICKS + tick) * np.uint64(MOST_ADDRESS + 1)
    # Multiplied, for all 64 bits to have a part in the 32 that are used.
    place = ((word + source.astype(np.uint64)) * _SPREAD) >> np.uint64(32)
    late = noise(seed, way, spread, place.astype(np.int64), 1, range(1))[0, 0]
    return np.clip(time + late, 0.0, seconds)
