"""The membranes of a readout, worked out where a loss needs them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.events.cells import Cells
from spikewright.events.current import Current
from spikewright.events.solver import Samples, Solver, TimeWeight

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Membrane:
    """The potentials v(t) of neurons that do not spike.

    Attributes:
        current: what reaches them.
        cells: their parameters, with u = v - v_leak.
        solver: what works them out.
        v_leak: resting potential, () or (neurons,) float64.
        shape: feature shape of the neurons.
    """

    current: Current
    cells: Cells
    solver: Solver
    v_leak: Tensor
    shape: Shape

    @property
    def duration(self) -> float:
        """Length of the trial, s."""
        return self.current.duration

    def integrate(self, weight: TimeWeight) -> Tensor:
        """1 / duration times the integral of weight(t) v(t) over the trial, (batch, *shape)."""
        mean = self.solver.integrate(self.current, self.cells, weight)
        if self._rests_at_zero():
            return self._shaped(mean)
        return self._shaped(mean + self.v_leak * self._mean_of(weight)[:, None])

    def sample(self) -> Samples:
        """v where a quadrature over the trial needs it, values (places, *shape)."""
        samples = self.solver.sample(self.current, self.cells)
        return samples._replace(values=self._shaped(samples.values + self.v_leak))

    def peak(self) -> Tensor:
        """The largest v of the trial, its start at v_leak included, (batch, *shape)."""
        return self._shaped(self.solver.peak(self.current, self.cells) + self.v_leak)

    def _rests_at_zero(self) -> bool:
        return not self.v_leak.requires_grad and not bool(self.v_leak.any())

    def _mean_of(self, weight: TimeWeight) -> Tensor:
        """1 / duration times the integral of the weight in each sample, (batch,)."""
        with torch.no_grad():
            at = self.solver.sample(self.current, self.cells)
        index = torch.arange(self.current.batch, device=at.times.device)
        samples = index.repeat_interleave(at.offsets.diff(), output_size=len(at.times))
        values = at.weights * weight(at.times, samples) / self.duration
        return values.new_zeros(self.current.batch).index_add(0, samples, values)

    def _shaped(self, values: Tensor) -> Tensor:
        return values.reshape(-1, *self.shape)
