"""Losses without a time grid, one kind a file: on membranes and on spike times.

``loss(readout, targets) -> (loss, scores)``; every loss is a mean over the batch.
"""

from __future__ import annotations

from spikewright.learning.event_losses.average import AverageCrossEntropy
from spikewright.learning.event_losses.base import EventLoss, Readout, Scored
from spikewright.learning.event_losses.first_spike import (
    ExponentialPush,
    FirstSpikeSoftmax,
    ReciprocalPush,
)
from spikewright.learning.event_losses.integral import IntegralCrossEntropy
from spikewright.learning.event_losses.peak import PeakCrossEntropy
from spikewright.learning.event_losses.spike_count import SpikeCountTarget
from spikewright.learning.event_losses.weights import (
    ExponentialFall,
    InputActivity,
    LinearFall,
    SigmoidFall,
    Uniform,
)

EVENT_LOSSES: dict[str, type[EventLoss]] = {
    kind.name: kind
    for kind in (
        IntegralCrossEntropy,
        PeakCrossEntropy,
        AverageCrossEntropy,
        FirstSpikeSoftmax,
        SpikeCountTarget,
    )
}

__all__ = [
    "EVENT_LOSSES",
    "AverageCrossEntropy",
    "EventLoss",
    "ExponentialFall",
    "ExponentialPush",
    "FirstSpikeSoftmax",
    "InputActivity",
    "IntegralCrossEntropy",
    "LinearFall",
    "PeakCrossEntropy",
    "Readout",
    "ReciprocalPush",
    "Scored",
    "SigmoidFall",
    "SpikeCountTarget",
    "Uniform",
]
