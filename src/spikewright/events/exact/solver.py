"""The exact solver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from spikewright.errors import ParameterError
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback
from spikewright.events.solver import Fired, Limits, Samples, TimeWeight


@dataclass(frozen=True)
class Exact:
    """Follows spikes from event to event, without a time grid.

        tau_mem du/dt = -u + j        tau_syn dj/dt = -j,  an arrival adds its weight to j

    Between arrivals u = A e^(-s/tau_mem) + B e^(-s/tau_syn) has one extremum at most, so each
    crossing of the threshold is found: by a quadratic equation for tau_mem = 2 tau_syn, Lambert's
    W for tau_mem = tau_syn, and Newton's iteration in a bracket for any other ratio. A crossing at
    the time of an arrival comes before it; touching the threshold from below is none.

    Gradients are exact, by one of two rules that agree: EventProp, "Event-based backpropagation
    can compute exact gradients for spiking neural networks" (Wunderlich and Pehle 2021), or the
    chain of spike times, "Exact error backpropagation through spikes" (Bacho and Chu 2022).

    Args:
        gradient: ``"adjoint"`` or ``"chain"``.

    Raises:
        ParameterError: an unknown ``gradient``.

    >>> import torch
    >>> from spikewright.events.current import Synapses
    >>> zero = torch.zeros(1, dtype=torch.int64)
    >>> synapses = Synapses(torch.full((1, 1), 8.0, dtype=torch.float64), neurons=1)
    >>> current = Current(torch.zeros(1).double(), zero, torch.tensor([0, 1]), synapses, 1.0)
    >>> cells = Cells(*torch.tensor([1.0, 0.5, 1.5, 0.0]).double())
    >>> fired = Exact().fire(current, cells, None, Limits())
    >>> [round(t, 6) for t in fired.spikes.times.tolist()]  # -ln(3/4), where u = 8 (y - y^2)
    [0.287682]
    """

    gradient: Literal["adjoint", "chain"] = "adjoint"

    def __post_init__(self) -> None:
        if self.gradient not in ("adjoint", "chain"):
            raise ParameterError(
                f"events.Exact: gradient must be 'adjoint' or 'chain', got {self.gradient!r}. "
                "Choose one; they agree."
            )

    def fire(
        self, current: Current, cells: Cells, feedback: Feedback | None, limits: Limits
    ) -> Fired:
        """The spikes of neurons that start at rest.

        Raises:
            EventError: a neuron fires without end.
            BackendError: on a GPU, feedback onto more than 1,024 neurons or the rule ``"chain"``.
        """
        if current.times.is_cuda:
            from spikewright.events.gpu.fire import fire as fire_there

            return fire_there(current, cells, feedback, limits, self.gradient)
        from spikewright.events.exact.fire import fire

        if self.gradient == "chain":
            from spikewright.events.exact.chain import chain as rule
        else:
            from spikewright.events.exact.adjoint import adjoint as rule
        return fire(current, cells, feedback, limits, rule)

    def sample(self, current: Current, cells: Cells) -> Samples:
        """The membranes of neurons without a threshold, where a quadrature needs them."""
        return _membrane(current).sample(current, cells)

    def integrate(self, current: Current, cells: Cells, weight: TimeWeight) -> Tensor:
        """(batch, neurons): 1 / duration times the integral of weight(t) u(t) over the trial."""
        return _membrane(current).integrate(current, cells, weight)

    def peak(self, current: Current, cells: Cells) -> Tensor:
        """(batch, neurons): the largest u of the trial (its start, u = 0, included)."""
        return _membrane(current).peak(current, cells)


def _membrane(current: Current) -> Any:
    """The functions for membranes on the device of ``current``."""
    if current.times.is_cuda:
        from spikewright.events.gpu import membrane as there

        return there
    from spikewright.events.exact import membrane as here

    return here
