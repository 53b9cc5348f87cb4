"""Places of a quadrature over the trial that knows when arrivals are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spikewright.engine.native import native
from spikewright.engine.threads import run_ranges
from spikewright.events.exact.history import Floats, Ints

SHARPER = 4.0
"""How much faster than u a function of u may bend, for the places of `sample`."""


class Places(NamedTuple):
    """Places of a quadrature, in order of time in each sample.

    Args:
        times, weights: (places,), s.
        offsets: (batch + 1,).
    """

    times: Floats
    weights: Floats
    offsets: Ints

    @property
    def samples(self) -> Ints:
        """The sample of each place, (places,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def quadrature(times: Floats, offsets: Ints, duration: float, rate: float) -> Places:
    """Places for functions that bend at arrivals, and between them no faster than ``rate``.

    Args:
        times: (arrivals,), s, sorted in each sample.
        offsets: (batch + 1,); the arrivals of sample b are ``offsets[b]:offsets[b + 1]``.
        duration: length of the trial, s.
        rate: 1/s.
    """
    kernels, batch = native(__package__ or "", "nodes"), len(offsets) - 1
    starts, fixed = np.zeros(batch + 1, dtype=np.int64), (times, offsets, duration, rate)
    counts = starts[1:]
    run_ranges(lambda i, j: kernels.count_nodes(i, j, *fixed, counts), batch, len(times))
    np.cumsum(counts, out=counts)
    places, weights = np.empty(starts[-1]), np.empty(starts[-1])
    made = (*fixed, starts, places, weights)
    run_ranges(lambda i, j: kernels.place_nodes(i, j, *made), batch, 4 * len(places))
    return Places(places, weights, starts)
