"""The average over the trial of the cross-entropy of the membranes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.learning.event_losses.base import EventLoss, Readout, Scored


@dataclass(frozen=True)
class AverageCrossEntropy(EventLoss):
    """Cross-entropy of the softmax of the membranes at each moment, averaged over the trial.

    L = mean_b (1 / T) int_0^T -log softmax(scale v(t))_target dt

    Where the trial ends in silence, its exact gradient pushes hidden spikes to later times until
    they are gone: every moment without a potential costs log(classes). It serves short trials.

    Args:
        scale: factor on the membranes, an inverse temperature in 1 / membrane units.

    Source: ``avg_xentropy`` of Nowotny, Turner and Knight (2025).
    """

    name: ClassVar[str] = "average"

    scale: float = 1.0

    def __post_init__(self) -> None:
        self.check_range("scale", 0.0, "positive")

    def __call__(self, readout: Readout, targets: Tensor) -> Scored:
        """The loss, and the mean probabilities as scores; see `EventLoss.__call__`."""
        taken = readout.membrane.sample()
        batch, classes = len(taken.offsets) - 1, taken.values.shape[1]
        self.check_classes(taken.values.new_empty(batch, classes), targets)
        index = torch.arange(batch, device=targets.device)
        samples = index.repeat_interleave(taken.offsets.diff(), output_size=len(taken.times))
        share = taken.weights / readout.duration
        logits = self.scale * taken.values
        each = functional.cross_entropy(logits, targets[samples], reduction="none")
        chances = taken.values.new_zeros(batch, classes)
        chances.index_add_(0, samples, share[:, None] * logits.detach().softmax(1))
        return Scored((share * each).sum() / batch, chances)
