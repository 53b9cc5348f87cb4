"""Membranes on evenly spaced times, worked out from what a network did in exact events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback, Synapses
from spikewright.events.network import EventRun
from spikewright.events.solver import Fired, Limits, Samples, Solver, TimeWeight
from spikewright.events.wires import Wire, merge_currents
from spikewright.neurons.exponential import synaptic_gain

_AT_ONCE = 2**22
"""Arrivals times neurons that are worked out together."""


@dataclass
class Recorder:
    """A solver that keeps what reached each group of spiking neurons, for `potentials`."""

    solver: Solver
    seen: list[tuple[Current, Cells, SpikeTimes]] = field(
        default_factory=list[tuple[Current, Cells, SpikeTimes]]
    )

    def fire(
        self, current: Current, cells: Cells, feedback: Feedback | None, limits: Limits
    ) -> Fired:
        """The spikes that the solver finds."""
        fired = self.solver.fire(current, cells, feedback, limits)
        if feedback is not None:
            current = merge_currents([current, Wire(*feedback).arrivals(fired.spikes)])
        self.seen.append((current, cells, fired.spikes))
        return fired

    def sample(self, current: Current, cells: Cells) -> Samples:
        """As the solver does."""
        return self.solver.sample(current, cells)

    def integrate(self, current: Current, cells: Cells, weight: TimeWeight) -> Tensor:
        """As the solver does."""
        return self.solver.integrate(current, cells, weight)

    def peak(self, current: Current, cells: Cells) -> Tensor:
        """As the solver does."""
        return self.solver.peak(current, cells)


def potentials(recorder: Recorder, run: EventRun, dt: float) -> list[Tensor]:
    """v - v_leak of each group of neurons at 0, dt, 2 dt ..., each (times, batch, neurons).

    At the moment of a spike the membrane has been reset already.

    Args:
        recorder: the solver that ``run`` came from, one without a grid.
        run: of a network.
        dt: distance of the times, s; the last one is not later than the trial's end.

    Source: superposition. A spike takes the membrane from the threshold to its reset, so it adds
    (reset - threshold) exp(-t / tau_mem) to what the arrivals do.
    """
    groups = [_trace(*group, dt) for group in recorder.seen]
    if not isinstance(run.output, SpikeTimes):
        groups.append(_trace(run.output.current, run.output.cells, None, dt))
    return groups


@torch.no_grad()
def _trace(current: Current, cells: Cells, spikes: SpikeTimes | None, dt: float) -> Tensor:
    places = int(current.duration / dt * (1 + 1e-9)) + 1
    jumps = torch.zeros(2, places * current.batch, current.synapses.neurons, dtype=torch.float64)
    for part, place, ago in _in_parts(current, places, dt):
        weight = _weights(current.synapses, current.rows[part])
        jumps[0].index_add_(0, place, weight * synaptic_gain(cells.tau_mem, cells.tau_syn, ago))
        jumps[1].index_add_(0, place, weight * torch.exp(-ago / cells.tau_syn))
    u, j = jumps.view(2, places, current.batch, -1)
    if spikes is not None and cells.threshold is not None and cells.reset is not None:
        place, ago = _places(spikes.times, spikes.samples, (places, current.batch), dt)
        fall = (cells.reset - cells.threshold).expand(spikes.size)[spikes.units]
        fall = fall * torch.exp(-ago[:, 0] / cells.tau_mem.expand(spikes.size)[spikes.units])
        inside = place < places * current.batch
        flat = (place * spikes.size + spikes.units)[inside]
        u.view(-1).index_add_(0, flat, fall[inside])
    decay, rise = torch.exp(-dt / cells.tau_mem), synaptic_gain(cells.tau_mem, cells.tau_syn, dt)
    for n in range(1, places):
        u[n] += decay * u[n - 1] + rise * j[n - 1]
        j[n] += torch.exp(-dt / cells.tau_syn) * j[n - 1]
    return u


def _in_parts(current: Current, places: int, dt: float) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Some arrivals at a time: which, the place in (times x batch), and how long before it, s."""
    index = torch.arange(current.batch).repeat_interleave(current.offsets.diff())
    place, ago = _places(current.times, index, (places, current.batch), dt)
    inside = (place < places * current.batch).nonzero()[:, 0]
    for part in inside.split(max(1, _AT_ONCE // current.synapses.neurons)):
        yield part, place[part], ago[part]


def _places(
    times: Tensor, samples: Tensor, like: tuple[int, int], dt: float
) -> tuple[Tensor, Tensor]:
    """Where in (times x batch) an event first acts, past the end if nowhere; how long before, s."""
    places, batch = like
    step = (times / dt * (1 - 1e-12)).ceil()
    ago = (step * dt - times).clamp(min=0)[:, None]
    return torch.where(step < places, step.long() * batch + samples, places * batch), ago


def _weights(synapses: Synapses, rows: Tensor) -> Tensor:
    """(rows, neurons): what an arrival through each row adds."""
    table = synapses.table
    if table is None:
        return synapses.weight[rows]
    lengths = table.first.diff()[rows]
    place = torch.arange(len(rows)).repeat_interleave(lengths)
    start = (table.first[rows] - (lengths.cumsum(0) - lengths)).repeat_interleave(lengths)
    which = start + torch.arange(len(start))
    found = torch.zeros(len(rows), synapses.neurons, dtype=torch.float64)
    where = (place, table.target[which])
    return found.index_put_(where, synapses.weight[table.entry[which]], accumulate=True)
