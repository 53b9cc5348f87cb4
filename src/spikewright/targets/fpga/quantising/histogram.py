"""How activations are spread, gathered batch by batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 4096
_COUNTS = torch.zeros(BINS, dtype=torch.int64)


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of positive values in equal bins over 0 .. 2^exponent, and the largest value.

    When larger values come, bins are put together two by two, so one pass over the data is enough.

    >>> seen = Histogram().add(torch.tensor([0.0, 1.0, 3.0])).add(torch.tensor([5.0]))
    >>> seen.most, int(seen.counts.sum()), seen.exponent
    (5.0, 3, 3)
    """

    most: float = 0.0
    exponent: int = -126
    counts: Tensor = _COUNTS

    def add(self, values: Tensor) -> Histogram:
        """With more values; zeros and negative ones are left out."""
        positive = values.detach().flatten()
        positive = positive[positive > 0].double()
        if not positive.numel():
            return self
        most = max(self.most, float(positive.max()))
        exponent = max(self.exponent, math.frexp(most)[1])
        places = (positive * (BINS / 2.0**exponent)).long().clamp(max=BINS - 1)
        counts = self._widened(exponent) + places.bincount(minlength=BINS).cpu()
        return Histogram(most, exponent, counts)

    def percentile(self, percentile: float) -> float:
        """A value that this share of the positive ones does not exceed, to one bin; 0 if none."""
        total = int(self.counts.sum())
        if not total:
            return 0.0
        needed = math.ceil(total * percentile / 100)
        place = int((self.counts.cumsum(0) < needed).sum())
        return min(self.most, (place + 1) * 2.0**self.exponent / BINS)

    def squared_error(self, scale: float, most: int) -> float:
        """Of holding the values as whole numbers 0 .. most times a scale; summed."""
        centres = (torch.arange(BINS, dtype=torch.float64) + 0.5) * (2.0**self.exponent / BINS)
        held = torch.floor(centres / scale + 0.5).clamp(0, most) * scale
        return float(((held - centres).square() * self.counts).sum())

    def _widened(self, exponent: int) -> Tensor:
        merged = 2 ** min(exponent - self.exponent, 63)
        if merged >= BINS:
            first = torch.zeros_like(self.counts)
            first[0] = self.counts.sum()
            return first
        sums = self.counts.view(-1, merged).sum(1)
        return torch.cat([sums, sums.new_zeros(BINS - len(sums))])
