"""The solver of events that steps through time."""

from __future__ import annotations

import torch
from torch import Tensor

from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback
from spikewright.events.grid.fire import fire
from spikewright.events.grid.membrane import ALL, PEAK, SUM, View, step_ends, watch
from spikewright.events.solver import Fired, Limits, Samples, TimeWeight
from spikewright.units import check_dt


class Grid:
    """Events on a time grid: the engine's steps forward, EventProp on the same steps backward.

        j = i + x;  u <- a u + k j;  a spike where u > threshold, then u <- reset;  i <- b j

    Order: that of `CubaLIF` and `CubaLI` ("exact"), whose spikes these are in float64. An arrival
    acts at the step nearest to its time, several in one step add up, one at the trial's end or
    later acts on nothing. A spike of step n has the time n dt and comes back to its own group at
    step n + 1 + delay / dt, rounded.

    Gradient: that of exact events with the spikes and membranes of the grid in place of theirs,
    so it tends to it with dt; the loss on the grid itself is piecewise constant. What is kept for
    it are arrivals and spikes (step, neuron, slope), however many steps there are.

    Args:
        dt: time step, s.

    Raises:
        ParameterError: ``dt`` is not a positive, finite time.

    Source: Wunderlich and Pehle 2021, "Event-based backpropagation can compute exact gradients
    for spiking neural networks", Scientific Reports 11, 12829; on a grid as in Nowotny, Turner
    and Knight 2025, arXiv 2212.01232.

    >>> from spikewright.events.current import Synapses
    >>> cells = Cells(*torch.tensor([20e-3, 5e-3, 1.0, 0.0], dtype=torch.float64))
    >>> weight = torch.tensor([[10.0]], dtype=torch.float64, requires_grad=True)
    >>> at, row = torch.tensor([2e-3]).double(), torch.tensor([0])
    >>> current = Current(at, row, torch.tensor([0, 1]), Synapses(weight, 1), 20e-3)
    >>> fired = Grid(dt=1e-3).fire(current, cells, None, Limits())
    >>> [round(1e3 * t) for t in fired.spikes.times.tolist()]
    [4]
    >>> fired.spikes.times.sum().backward()  # a larger weight, an earlier spike
    >>> bool(weight.grad < 0)
    True
    """

    def __init__(self, dt: float) -> None:
        self.dt = check_dt("Grid", dt)

    def fire(
        self, current: Current, cells: Cells, feedback: Feedback | None, limits: Limits
    ) -> Fired:
        """The spikes of neurons that start at rest.

        Raises:
            EventError: a neuron reaches ``limits.bound``.
            BackendError: the tensors are not on the CPU; so in the other methods.
            ShapeError: the trial is no whole number of steps; so in the other methods.
        """
        return fire(current, cells, feedback, limits, self.dt)

    def sample(self, current: Current, cells: Cells) -> Samples:
        """The membranes at all steps; the result, and its gradient, grow with their number.

        The value of step n is that at its end, (n + 1) dt.
        """
        view = View(current, self.dt, ALL)
        values, batch = watch(view, cells), current.batch
        times = step_ends(range(view.steps), self.dt).repeat(batch)
        offsets = torch.arange(batch + 1) * view.steps
        return Samples(values, times, torch.full_like(times, self.dt), offsets)

    def integrate(self, current: Current, cells: Cells, weight: TimeWeight) -> Tensor:
        """The mean of weight((n + 1) dt) u over all steps n, (batch, neurons)."""
        return watch(View(current, self.dt, SUM, weight), cells)

    def peak(self, current: Current, cells: Cells) -> Tensor:
        """The largest u of all steps, at least 0, (batch, neurons).

        A peak that an arrival cuts off moves with that arrival's time.
        """
        return watch(View(current, self.dt, PEAK), cells)
