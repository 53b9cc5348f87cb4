"""Weights over the trial, for losses that integrate the membrane."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.errors import ParameterError, nearest
from spikewright.events.solver import TimeWeight
from spikewright.learning.losses import exponential_filter

_BINS_A_TAU = 4
"""Resolution of the input's activity."""
_BENDS = 4.0
"""How fast a Gaussian of width 1 bends, as far as a quadrature is concerned."""
_REACH = 8
"""Where a Gaussian of width 1 ends for good."""


@runtime_checkable
class Shape(Protocol):
    """The course of a weight over trials of any length."""

    def over(self, spikes: SpikeTimes) -> TimeWeight:
        """The weight over the trial of an input."""
        ...


class Weight(NamedTuple):
    """A weight over one batch; see `spikewright.events.solver.TimeWeight`."""

    value: Callable[[Tensor, Tensor | None], Tensor]
    rate: float
    shared: bool = True

    def __call__(self, times: Tensor, samples: Tensor | None) -> Tensor:
        return self.value(times, samples)


@dataclass(frozen=True)
class Uniform:
    """1 throughout: the loss ``sum`` of Nowotny, Turner and Knight (2025).

    >>> trial = SpikeTimes.from_first(torch.tensor([[math.inf]]), duration=2.0)
    >>> Uniform().over(trial)(torch.tensor([0.0, 2.0]), None).tolist()
    [1.0, 1.0]
    """

    def over(self, spikes: SpikeTimes) -> TimeWeight:
        """The weight over the trial of an input."""
        return Weight(lambda times, _: torch.ones_like(times), rate=0.0)


@dataclass(frozen=True)
class ExponentialFall:
    """exp(-t / tau), falling over the trial.

    Args:
        tau: s; ``None`` for the trial's duration, as in Nowotny, Turner and Knight (2025).

    >>> trial = SpikeTimes.from_first(torch.tensor([[math.inf]]), duration=2.0)
    >>> weight = ExponentialFall().over(trial)
    >>> [round(float(w), 4) for w in weight(torch.tensor([0.0, 2.0]), None)]
    [1.0, 0.3679]
    """

    tau: float | None = None

    def __post_init__(self) -> None:
        _check_positive("ExponentialFall", "tau", self.tau)

    def over(self, spikes: SpikeTimes) -> TimeWeight:
        """The weight over the trial of an input."""
        tau = self.tau or spikes.duration
        return Weight(lambda times, _: torch.exp(-times / tau), rate=1 / tau)


@dataclass(frozen=True)
class LinearFall:
    """1 - t / T: from 1 to 0 over the trial.

    >>> trial = SpikeTimes.from_first(torch.tensor([[math.inf]]), duration=2.0)
    >>> LinearFall().over(trial)(torch.tensor([0.0, 0.5, 2.0]), None).tolist()
    [1.0, 0.75, 0.0]
    """

    def over(self, spikes: SpikeTimes) -> TimeWeight:
        """The weight over the trial of an input."""
        return Weight(lambda times, _: 1 - times / spikes.duration, rate=1 / spikes.duration)


@dataclass(frozen=True)
class SigmoidFall:
    """1 / (1 + exp((t / T - 1 / 2) / width)): high in the first half, low in the second.

    Args:
        width: of the fall, in trials; 0.2 in Nowotny, Turner and Knight (2025).

    >>> trial = SpikeTimes.from_first(torch.tensor([[math.inf]]), duration=2.0)
    >>> SigmoidFall().over(trial)(torch.tensor([1.0]), None).tolist()
    [0.5]
    """

    width: float = 0.2

    def __post_init__(self) -> None:
        _check_positive("SigmoidFall", "width", self.width)

    def over(self, spikes: SpikeTimes) -> TimeWeight:
        """The weight over the trial of an input."""
        wide = self.width * spikes.duration
        middle = spikes.duration / 2
        return Weight(lambda times, _: torch.sigmoid((middle - times) / wide), rate=1 / wide)


@dataclass(frozen=True)
class InputActivity:
    """The activity of a sample's input, all units together, after a low-pass filter.

    a(t) = sum_k exp(-(t - t_k) / tau) over the input spikes up to t, scaled to a mean of 1 over
    the trial; 0 for a sample without spikes. A Gaussian of width tau / 4 takes off its edges, so
    that it can be integrated.

    Args:
        tau: of the filter, s; ``None`` for a twentieth of the trial.

    >>> spikes = SpikeTimes.from_first(torch.tensor([[0.5]]), 2.0)
    >>> weight = InputActivity(tau=0.1).over(spikes)
    >>> early, at, late = weight(torch.tensor([0.2, 0.55, 1.9]), torch.tensor([0, 0, 0]))
    >>> bool(early < 0.01) and bool(late < 0.01) and bool(at > 5)
    True
    """

    tau: float | None = None

    def __post_init__(self) -> None:
        _check_positive("InputActivity", "tau", self.tau)

    def over(self, spikes: SpikeTimes) -> TimeWeight:
        """The weight over the trial of an input."""
        tau = self.tau or spikes.duration / 20
        bins = math.ceil(_BINS_A_TAU * spikes.duration / tau)
        wide = spikes.duration / bins
        place = (spikes.times.detach() / wide).floor().long().clamp(max=bins - 1)
        place = place * spikes.batch + spikes.samples
        counts = torch.bincount(place, minlength=bins * spikes.batch).double()
        activity = exponential_filter(counts.view(bins, spikes.batch), math.exp(-wide / tau))
        mean = activity.mean(0)
        activity = activity / mean.where(mean > 0, torch.ones_like(mean))

        def value(times: Tensor, samples: Tensor | None) -> Tensor:
            assert samples is not None
            return _smooth(activity, times / wide, samples)

        return Weight(value, rate=_BENDS / wide, shared=False)


def _smooth(values: Tensor, places: Tensor, columns: Tensor) -> Tensor:
    """A sum of Gaussians as wide as a bin, one at each of (bins, samples), at ``places`` in bins.

    Beyond the first and the last bin the values go on as they are there.
    """
    nearest = places.round().long()
    total = torch.zeros_like(places)
    for offset in range(-_REACH, _REACH + 1):
        index = nearest + offset
        factor = torch.exp(-(places - index).square() / 2) / math.sqrt(2 * math.pi)
        total = total + factor * values[index.clamp(0, len(values) - 1), columns]
    return total


WEIGHTS: dict[str, Callable[[], Shape]] = {
    "uniform": Uniform,
    "exponential": ExponentialFall,
    "linear": LinearFall,
    "sigmoid": SigmoidFall,
    "input": InputActivity,
}


def weight_shape(where: str, weight: str | Shape) -> Shape:
    """The weight that a name or a ready one stands for.

    Raises:
        ParameterError: neither a name of one nor one.
    """
    if isinstance(weight, Shape):
        return weight
    if weight not in WEIGHTS:
        raise ParameterError(
            f"{where}: weight must be one of {', '.join(WEIGHTS)}, got {weight!r}. "
            f"{nearest(str(weight), WEIGHTS)}"
        )
    return WEIGHTS[weight]()


def _check_positive(where: str, name: str, value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise ParameterError(
            f"event_losses.{where}: {name} must be positive and finite, got {value!r}. "
            f"Leave {name} out for the usual one."
        )
