"""Arrivals and neurons without a threshold, as the kernels of membranes read them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from spikewright.events.cells import Cells
from spikewright.events.current import Current
from spikewright.events.exact.history import Floats, Ints


class Readout(NamedTuple):
    """What the kernels read of a `Current` and its `Cells`.

    Args:
        weight: (rows, neurons), or with a table (1, weights).
        start, target, entry: the table, empty without one.
        tau_mem, tau_syn: (neurons,), or (1,) where all neurons have the same.
    """

    times: Floats
    rows: Ints
    offsets: Ints
    weight: Floats
    start: Ints
    target: Ints
    entry: Ints
    tau_mem: Floats
    tau_syn: Floats
    neurons: int
    duration: float

    @classmethod
    def of(cls, current: Current, cells: Cells) -> Readout:
        """The values of their tensors."""
        synapses, table = current.synapses, current.synapses.table
        lists = table or [torch.empty(0, dtype=torch.int64)] * 3
        weight = synapses.weight if table is None else synapses.weight[None]
        taus = torch.broadcast_tensors(cells.tau_mem.reshape(-1), cells.tau_syn.reshape(-1))
        tensors = (current.times, current.rows, current.offsets, weight, *lists, *taus)
        arrays = (np.ascontiguousarray(tensor.detach().numpy()) for tensor in tensors)
        return cls(*arrays, neurons=synapses.neurons, duration=current.duration)

    @property
    def batch(self) -> int:
        """Number of samples."""
        return len(self.offsets) - 1

    @property
    def work(self) -> int:
        """Arrivals times neurons."""
        return len(self.times) * self.neurons

    @property
    def events(self) -> tuple[Floats | Ints, ...]:
        """Which row each arrival takes and what the rows are."""
        return self.rows, self.offsets, self.weight, self.start, self.target, self.entry

    @property
    def rate(self) -> float:
        """How fast the membranes may bend, 1/s."""
        return float((1 / self.tau_mem + 1 / self.tau_syn).max())
