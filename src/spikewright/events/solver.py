"""What every solver of events offers; `exact` has no time grid, `grid` has one.

All results are differentiable with respect to arrival times, weights, delays of a feedback
connection and the parameters of the neurons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.errors import ParameterError
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback

CALM = (
    "Lower the weights onto it or the feedback without delay, or limit its spikes (max_spikes of "
    "a rule, Limits.spikes)."
)
"""What to do about a neuron that fires without end."""


@dataclass(frozen=True)
class Limits:
    """How often a neuron may spike in a trial.

    Args:
        spikes: the most, fewer than ``bound``; later ones do not happen, and `Fired.truncated`
            counts the neurons that would have gone on. ``None`` for any number.
        bound: spikes of one neuron in one trial from which on it counts as firing without end,
            an error.

    Raises:
        ParameterError: one is no whole number from 1, or ``spikes`` reaches ``bound``.
    """

    spikes: int | None = None
    bound: int = 10_000

    def __post_init__(self) -> None:
        for name, value in (("spikes", self.spikes), ("bound", self.bound)):
            if name == "spikes" and value is None:
                continue
            if type(value) is not int or value < 1:
                raise ParameterError(
                    f"events.Limits: {name} must be a whole number from 1, got {value!r}. "
                    f"Leave {name} out for the usual one."
                )
        if self.spikes is not None and self.spikes >= self.bound:
            raise ParameterError(
                f"events.Limits: spikes must be fewer than bound, {self.bound:,}, got "
                f"{self.spikes:,}. Raise bound too, or leave spikes out."
            )


class Fired(NamedTuple):
    """What spiking neurons did.

    Args:
        spikes: with features (neurons,); their times carry the exact gradient.
        counts: (batch, neurons) float64. The number of spikes is a step function; by definition
            here its gradient is that of raising the membrane at each spike:
            dn/du = 1 / threshold at the moment of each spike, just before it.
        last: (batch, neurons), u at the end of the trial; differentiable.
        truncated: number of (sample, neuron) that `Limits.spikes` stopped.
    """

    spikes: SpikeTimes
    counts: Tensor
    last: Tensor
    truncated: int


class Samples(NamedTuple):
    """Membranes at places that a quadrature over the trial needs.

    Sum over a sample's places of weight * f(u) is the integral of f(u) over the trial.

    Args:
        values: (places, neurons), u; differentiable so that a sum of the above form gets the
            gradient of the integral (the places count as fixed).
        times: (places,), s.
        weights: (places,), s.
        offsets: (batch + 1,) int64; those of sample b are ``offsets[b]:offsets[b + 1]``.
    """

    values: Tensor
    times: Tensor
    weights: Tensor
    offsets: Tensor


class TimeWeight(Protocol):
    """A weight over the trial."""

    @property
    def shared(self) -> bool:
        """Whether it is the same for all samples."""
        ...

    @property
    def rate(self) -> float:
        """How fast it bends, 1/s: e^(rate t) does as fast; a quadrature goes by it."""
        ...

    def __call__(self, times: Tensor, samples: Tensor | None) -> Tensor:
        """The weight at ``times`` (places,), s, in ``samples`` (places,); float64, no gradient.

        ``samples`` may be ``None`` where the weight is shared.
        """
        ...


@runtime_checkable
class Solver(Protocol):
    """Turns arrivals into spikes or membranes."""

    def fire(
        self, current: Current, cells: Cells, feedback: Feedback | None, limits: Limits
    ) -> Fired:
        """The spikes of neurons that start at rest.

        Raises:
            EventError: a neuron fires without end.
        """
        ...

    def sample(self, current: Current, cells: Cells) -> Samples:
        """The membranes of neurons without a threshold, where a quadrature needs them."""
        ...

    def integrate(self, current: Current, cells: Cells, weight: TimeWeight) -> Tensor:
        """(batch, neurons): 1 / duration times the integral of weight(t) u(t) over the trial."""
        ...

    def peak(self, current: Current, cells: Cells) -> Tensor:
        """(batch, neurons): the largest u of the trial (its start, u = 0, included)."""
        ...
