"""The loss on spike counts of Bacho and Chu."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.learning.event_losses.base import EventLoss, Readout, Scored


@dataclass(frozen=True)
class SpikeCountTarget(EventLoss):
    """Squared distance of the outputs' spike counts from target counts.

    L = mean_b [ 1/2 sum_j (n*_j - n_j)^2 ]

    A count is a step function of the weights. By definition, a heuristic, the gradient on every
    spike time of output j is dL/dt := (n*_j - n_j) / (unit * batch): too few spikes, and each is
    moved to an earlier time, so that more fit into the trial. What follows from the times is
    exact. A silent output gets no gradient; see the policies for silent neurons.

    `spikewright.learning.losses.SpikeCountMSE` is the loss for rasters.

    Args:
        correct: target count of the right class, spikes.
        incorrect: target count of the others, spikes.
        unit: the time in which the gradient is measured, s: 1 s as in the source's code. It
            scales the gradient, to which Adam is blind.

    Source: Bacho and Chu, Neural Computation 35(10) (2023).

    >>> SpikeCountTarget(correct=15, incorrect=3).unit
    1.0
    """

    name: ClassVar[str] = "spike_count"
    reads = "spikes"

    correct: float
    incorrect: float = 0.0
    unit: float = 1.0

    def __post_init__(self) -> None:
        self.check_range("correct", 0.0, "at least 0")
        self.check_range("incorrect", 0.0, "at least 0")
        self.check_range("unit", 0.0, "positive")

    def __call__(self, readout: Readout, targets: Tensor) -> Scored:
        """The loss, and the counts as scores; see `EventLoss.__call__`."""
        spikes = readout.fired.spikes
        counts = spikes.counts()
        self.check_classes(counts, targets)
        wanted = torch.full_like(counts, self.incorrect)
        missing = wanted.scatter_(1, targets[:, None], self.correct) - counts
        value = missing.square().sum() / (2 * spikes.batch)
        pull = missing[spikes.samples, spikes.units] / (self.unit * spikes.batch)
        moved = (pull * (spikes.times - spikes.times.detach())).sum()
        return Scored(value + moved, counts)
