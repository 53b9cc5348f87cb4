"""Losses on the times of first spikes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.errors import ParameterError
from spikewright.learning.event_losses.base import EventLoss, Readout, Scored


class Push(Protocol):
    """A cost of the time of the right class's first spike."""

    def __call__(self, times: Tensor, duration: float) -> Tensor:
        """The cost of ``times``, s, in a trial of ``duration`` seconds."""
        ...


@dataclass(frozen=True)
class ExponentialPush:
    """strength (exp(t / tau) - 1): the later, the steeper.

    Args:
        strength: 3.6e-4 in the source's MNIST task.
        tau: s; 3 ms there.
    """

    strength: float = 3.6e-4
    tau: float = 3e-3

    def __post_init__(self) -> None:
        _check_positive("ExponentialPush", strength=self.strength, tau=self.tau)

    def __call__(self, times: Tensor, duration: float) -> Tensor:
        return self.strength * torch.expm1(times / self.tau)


@dataclass(frozen=True)
class ReciprocalPush:
    """strength / (1.01 T - t): steep at the trial's end only.

    Args:
        strength: s.
    """

    strength: float = 3.6e-7

    def __post_init__(self) -> None:
        _check_positive("ReciprocalPush", strength=self.strength)

    def __call__(self, times: Tensor, duration: float) -> Tensor:
        return self.strength / (1.01 * duration - times)


@dataclass(frozen=True)
class FirstSpikeSoftmax(EventLoss):
    """Cross-entropy of the softmax of minus the first spike times: the earliest output wins.

    L = mean_b [ -log softmax(-t / tau)_target + push(t_target) ]
    dL/dt_j = ((1[j = target] - p_j) / tau + 1[j = target] push'(t_j)) / batch, on first spikes

    An output without a spike counts as one at T + silence, which no gradient moves. With a push
    the right output, where it is silent, gets a phantom spike at T: it has the gradient of the
    push and moves as if the membrane rose through the threshold within one tau_mem,
    dt/dv(T) = -tau_mem / threshold.

    `spikewright.learning.losses.FirstSpikeCrossEntropy` is the same softmax for rasters.

    Args:
        tau: time over which two spikes count as different, s.
        push: `ExponentialPush` (``first_spike_exp`` of Nowotny, Turner and Knight 2025),
            `ReciprocalPush` (``first_spike``) or ``None``.
        silence: what is added to T for a silent output, s.

    Source: Mostafa (2017); Göltz et al. (2021); Nowotny, Turner and Knight (2025).

    >>> FirstSpikeSoftmax(tau=1e-3).reads
    'spikes'
    """

    name: ClassVar[str] = "first_spike"
    reads = "spikes"

    tau: float
    push: Push | None = None
    silence: float = 0.0

    def __post_init__(self) -> None:
        self.check_range("tau", 0.0, "positive")
        self.check_range("silence", 0.0, "at least 0")
        if self.push is not None and not callable(self.push):
            raise ParameterError(
                f"{self.where}: push must be ExponentialPush, ReciprocalPush or None, got "
                f"{self.push!r}. Pass push=None for no push."
            )

    def __call__(self, readout: Readout, targets: Tensor) -> Scored:
        """The loss, and minus the times as scores; see `EventLoss.__call__`."""
        first, duration = readout.fired.spikes.first(), readout.duration
        silent = first.detach() == math.inf
        times = first.masked_fill(silent, duration + self.silence)
        self.check_classes(times, targets)
        loss = functional.cross_entropy(-times / self.tau, targets)
        if self.push is not None:
            pushed = torch.where(silent, _phantom(readout), first)
            right = pushed.gather(1, targets[:, None])
            loss = loss + self.push(right, duration).mean()
        return Scored(loss, -times.detach())


def _phantom(readout: Readout) -> Tensor:
    """A spike at the trial's end, moved by the membrane there."""
    assert readout.slope is not None
    last = readout.fired.last
    return readout.duration - (last - last.detach()) / readout.slope


def _check_positive(where: str, **values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ParameterError(
                f"event_losses.{where}: {name} must be positive and finite, got {value!r}. "
                "Pass push=None for no push."
            )
