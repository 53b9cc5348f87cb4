"""A stimulus cut into parts of some samples each, and what they showed put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spikewright.targets.brainscales2.chip import Observations, Stimulus


def part_of(stimulus: Stimulus, first: int, last: int) -> Stimulus:
    """The samples from ``first`` to before ``last``, numbered from 0."""
    if first == 0 and last >= stimulus.samples:
        return stimulus
    start, end = np.searchsorted(stimulus.sample, (first, last))
    return replace(
        stimulus,
        time=stimulus.time[start:end],
        address=stimulus.address[start:end],
        sample=stimulus.sample[start:end] - np.int32(first),
        samples=min(last, stimulus.samples) - first,
    )


def joined(parts: Sequence[Observations]) -> Observations:
    """What all parts showed; their spikes have the numbers of the whole already."""
    if len(parts) == 1:
        return parts[0]
    spikes = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("spike_time", "spike_circuit", "spike_sample")
    }
    samples = {
        name: np.concatenate([getattr(part, name) for part in parts], axis=1)
        for name in ("membrane", "fast")
    }
    lost_in, lost_out = (sum(part.lost[way] for part in parts) for way in (0, 1))
    seconds = sum(part.seconds for part in parts)
    return replace(parts[0], **spikes, **samples, lost=(lost_in, lost_out), seconds=seconds)
