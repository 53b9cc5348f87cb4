"""What reaches each neuron, as the kernels read it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.events.current import Current, Synapses, Table
from spikewright.events.ragged import Ragged


@dataclass(frozen=True, eq=False)
class Lists:
    """Arrivals sorted by time in each list, none after the trial's end.

    Neurons share the list of their sample, or if ``listed`` have one each.

    Args:
        times: (arrivals,) float64, s.
        rows: (arrivals,) int64, the row of ``weight`` that each goes through; empty if ``listed``.
        weight: (rows, neurons), or (arrivals,) if ``listed``; float64.
        offsets: (lists + 1,) int64, where each list begins and ends.
        neurons: of a sample.
        batch: number of samples.
    """

    times: Tensor
    rows: Tensor
    weight: Tensor
    offsets: Tensor
    neurons: int
    batch: int
    listed: bool


def make_lists(current: Current) -> Lists:
    """The lists of a current; differentiable."""
    synapses, batch = current.synapses, current.batch
    events = Ragged(current.times, current.rows, current.offsets).until(current.duration)
    if synapses.table is not None:
        return _listed(events, synapses, synapses.table, batch)
    return Lists(*events[:2], synapses.weight, events.offsets, synapses.neurons, batch, False)


def _listed(events: Ragged, synapses: Synapses, table: Table, batch: int) -> Lists:
    """One arrival for each synapse that an event goes through, sorted by target."""
    arrivals = events.fan_out(table.first)
    target = arrivals.samples * synapses.neurons + table.target[arrivals.marks]
    order = target.argsort(stable=True)
    counts = torch.bincount(target, minlength=batch * synapses.neurons)
    offsets = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
    weight = synapses.weight[table.entry[arrivals.marks[order]]]
    times, none = arrivals.times[order], offsets[:0]
    return Lists(times, none, weight, offsets, synapses.neurons, batch, True)


def dense_weight(synapses: Synapses) -> Tensor:
    """Weights of all rows onto all neurons, 0 where there is no synapse; differentiable."""
    table = synapses.table
    if table is None:
        return synapses.weight
    rows = len(table.first) - 1
    index = torch.arange(rows, device=table.first.device)
    row = index.repeat_interleave(table.first.diff(), output_size=len(table.target))
    weight = synapses.weight.new_zeros(rows, synapses.neurons)
    return weight.index_put((row, table.target), synapses.weight[table.entry], accumulate=True)
