"""What a connection is in events: units that spike, rows of synapses, and a delay for each row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.events.current import Current, Feedback, Synapses, Table
from spikewright.events.ragged import Ragged, merge


class Wire(NamedTuple):
    """Connection from units that spike to neurons.

    A spike of unit n at t arrives through each row r of ``first_row[n]:first_row[n + 1]``, at
    t + ``delay[r]``.

    Args:
        synapses: the rows.
        first_row: (units + 1,) int64; ``None`` where unit n has row n alone.
        delay: (rows,) float64, s; ``None`` for none. May carry a gradient.
    """

    synapses: Synapses
    first_row: Tensor | None = None
    delay: Tensor | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        table = self.synapses.table
        return len(self.synapses.weight) if table is None else len(table.first) - 1

    def arrivals(self, spikes: SpikeTimes) -> Current:
        """What the spikes become; those that would arrive after the trial are left out."""
        events = Ragged(spikes.times, spikes.units, spikes.offsets)
        if self.first_row is not None:
            events = events.fan_out(self.first_row)
        if self.delay is not None:
            events = events._replace(times=events.times + self.delay[events.marks])
            events = events.until(spikes.duration).ordered()
        return Current(*events, self.synapses, spikes.duration)

    def feedback(self) -> Feedback:
        """The same as a connection of neurons to themselves."""
        weight, rows = self.synapses.weight, self.rows
        first = self.first_row
        if first is None:
            first = torch.arange(rows + 1, device=weight.device)
        delay = self.delay if self.delay is not None else weight.new_zeros(rows)
        return Feedback(self.synapses, first, delay)

    def scale_units(self, gain: Tensor) -> Wire:
        """The spikes of each unit count ``gain`` times, () or (units,)."""
        if gain.ndim and self.first_row is not None:
            gain = gain.repeat_interleave(self.first_row.diff())
        synapses, table = self.synapses, self.synapses.table
        if gain.ndim == 0 or table is None:
            factor = gain if gain.ndim == 0 else gain[:, None]
            return self._replace(synapses=synapses._replace(weight=synapses.weight * factor))
        return self._replace(synapses=_unshared(synapses, gain[row_of_synapse(table)]))


def scale_targets(synapses: Synapses, factor: Tensor) -> Synapses:
    """All that reaches each neuron is multiplied by ``factor``, () or (neurons,)."""
    if factor.ndim == 0 or synapses.table is None:
        return synapses._replace(weight=synapses.weight * factor)
    return _unshared(synapses, factor[synapses.table.target])


def merge_currents(currents: Sequence[Current]) -> Current:
    """Currents that meet at the same neurons as one: rows one after the other, arrivals merged."""
    if len(currents) == 1:
        return currents[0]
    tables = [current.synapses.table for current in currents]
    lists = [Ragged(*current[:3]) for current in currents]
    starts = [0, *accumulate(_rows(current.synapses) for current in currents)]
    moved = [part._replace(marks=part.marks + s) for part, s in zip(lists, starts, strict=False)]
    joined = _join([current.synapses for current in currents], any(t is not None for t in tables))
    return Current(*merge(moved), joined, currents[0].duration)


def row_of_synapse(table: Table) -> Tensor:
    """The row of each synapse, (synapses,) int64."""
    rows = torch.arange(len(table.first) - 1, device=table.first.device)
    return rows.repeat_interleave(table.first.diff(), output_size=len(table.target))


def _rows(synapses: Synapses) -> int:
    return Wire(synapses).rows


def _join(parts: Sequence[Synapses], tabled: bool) -> Synapses:
    if not tabled:
        return parts[0]._replace(weight=torch.cat([part.weight for part in parts]))
    parts = [_as_table(part) for part in parts]
    tables = [part.table for part in parts if part.table is not None]
    synapses = [0, *accumulate(len(table.target) for table in tables)]
    entries = [0, *accumulate(len(part.weight) for part in parts)]
    first = [table.first[:-1] + s for table, s in zip(tables, synapses, strict=False)]
    last = first[0].new_tensor([synapses[-1]])
    table = Table(
        torch.cat([*first, last]),
        torch.cat([table.target for table in tables]),
        torch.cat([table.entry + s for table, s in zip(tables, entries, strict=False)]),
    )
    return Synapses(torch.cat([part.weight for part in parts]), parts[0].neurons, table)


def _as_table(synapses: Synapses) -> Synapses:
    """Rows that reach every neuron, written as a table."""
    if synapses.table is not None:
        return synapses
    rows, neurons = synapses.weight.shape
    device = synapses.weight.device
    first = torch.arange(rows + 1, device=device) * neurons
    target = torch.arange(neurons, device=device).repeat(rows)
    entry = torch.arange(rows * neurons, device=device)
    return Synapses(synapses.weight.flatten(), neurons, Table(first, target, entry))


def _unshared(synapses: Synapses, factor: Tensor) -> Synapses:
    """A weight of its own for each synapse, multiplied by ``factor`` (synapses,)."""
    table = synapses.table
    assert table is not None
    entry = torch.arange(len(table.entry), device=table.entry.device)
    weight = synapses.weight[table.entry] * factor
    return synapses._replace(weight=weight, table=table._replace(entry=entry))
