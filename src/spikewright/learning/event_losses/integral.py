"""Cross-entropy of the membranes' integrals, weighted over the trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from spikewright.learning.event_losses.base import EventLoss, Readout, Scored
from spikewright.learning.event_losses.weights import Shape, weight_shape


@dataclass(frozen=True)
class IntegralCrossEntropy(EventLoss):
    """Cross-entropy of the softmax of time-weighted integrals of the output membranes.

    L = mean_b [ -log softmax(scale S)_target ],  S_k = (1 / T) int_0^T w(t) v_k(t) dt

    With w = 1 an error reaches only the last few tau_mem of the trial's spikes: before, lambda_v
    and lambda_i of the readout have become equal, and what moves a spike is their difference. A
    weight that falls over the trial keeps the difference at about tau_syn |dA / dt|, where A is
    the error times the weight, so that early spikes learn too.

    Args:
        weight: ``"uniform"`` (also called sum), ``"exponential"``, ``"linear"``, ``"sigmoid"``,
            ``"input"``, or one of `spikewright.learning.event_losses.weights`.
        scale: factor on the integrals, an inverse temperature in 1 / membrane units.

    Source: Nowotny, Turner and Knight, Neuromorphic Computing and Engineering (2025).

    >>> IntegralCrossEntropy("linear").weight
    'linear'
    """

    name: ClassVar[str] = "integral"

    weight: str | Shape = "exponential"
    scale: float = 1.0

    def __post_init__(self) -> None:
        weight_shape(self.where, self.weight)
        self.check_range("scale", 0.0, "positive")

    def __call__(self, readout: Readout, targets: Tensor) -> Scored:
        """The loss, and the integrals as scores; see `EventLoss.__call__`."""
        weight = weight_shape(self.where, self.weight).over(readout.input)
        scores = readout.membrane.integrate(weight)
        self.check_classes(scores, targets)
        return Scored(functional.cross_entropy(self.scale * scores, targets), scores)
