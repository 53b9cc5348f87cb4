"""Cross-entropy of the membranes' maxima."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from spikewright.learning.event_losses.base import EventLoss, Readout, Scored


@dataclass(frozen=True)
class PeakCrossEntropy(EventLoss):
    """Cross-entropy of the softmax of the largest membrane potentials of the trial.

    L = mean_b [ -log softmax(scale max_t v(t))_target ]; the gradient passes through the moment of
    the maximum, so only spikes shortly before it learn.

    Args:
        scale: factor on the maxima, an inverse temperature in 1 / membrane units.

    Source: ``max`` of Nowotny, Turner and Knight (2025).
    """

    name: ClassVar[str] = "peak"

    scale: float = 1.0

    def __post_init__(self) -> None:
        self.check_range("scale", 0.0, "positive")

    def __call__(self, readout: Readout, targets: Tensor) -> Scored:
        """The loss, and the maxima as scores; see `EventLoss.__call__`."""
        scores = readout.membrane.peak()
        self.check_classes(scores, targets)
        return Scored(functional.cross_entropy(self.scale * scores, targets), scores)
