"""What a group of spiking neurons was given and what it did, as the kernels read it.

All in NumPy arrays, C-contiguous. A gradient rule needs nothing else (`gradient`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Array = NDArray[Any]


class Parameters(NamedTuple):
    """`Cells` with one value for each neuron.

    Args:
        tau_mem, tau_syn: (neurons,), s.
        threshold, reset: (neurons,).
        shared: whether all neurons have the same tau_mem and the same tau_syn.
    """

    tau_mem: Floats
    tau_syn: Floats
    threshold: Floats
    reset: Floats
    shared: bool


class Rows(NamedTuple):
    """Rows of synapses, external ones first and then those of the feedback.

    Dense rows have ``weight`` (rows, neurons), and the lists are empty. Sparse ones have ``weight``
    (1, weights), and row r has the synapses ``first[r]:first[r + 1]`` with ``weight[0, entry[s]]``
    onto ``target[s]``.

    Args:
        external: how many rows are external; row ``external + r`` is row r of the feedback.
        external_size: how many of the weights are external: of the flattened ``weight``, those
            before this place; the others are the feedback's.
    """

    weight: Floats
    first: Ints
    target: Ints
    entry: Ints
    external: int
    external_size: int

    @property
    def dense(self) -> bool:
        """Whether every row reaches every neuron."""
        return len(self.first) == 0


class Problem(NamedTuple):
    """A batch of trials of one group of neurons.

    Args:
        times: (arrivals,), s, external ones, sorted in each sample.
        indices: (arrivals,), the row each goes through.
        offsets: (batch + 1,); the arrivals of sample b are ``offsets[b]:offsets[b + 1]``.
        rows: what the rows are.
        first_row: (neurons + 1,); a spike of neuron n goes through the feedback's rows
            ``first_row[n]:first_row[n + 1]``, numbered from 0. All zero without feedback.
        delay: (rows of the feedback,), s.
        cells: the neurons.
        duration: length of the trial, s.
    """

    times: Floats
    indices: Ints
    offsets: Ints
    rows: Rows
    first_row: Ints
    delay: Floats
    cells: Parameters
    duration: float

    @property
    def batch(self) -> int:
        """Number of samples."""
        return len(self.offsets) - 1

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return len(self.cells.tau_mem)


class History(NamedTuple):
    """All that acted on the neurons, and their spikes, each sorted by time in each sample.

    A spike at the time of an arrival happened before it.

    Args:
        times: (events,), s, of all arrivals. The external ones keep their order and none is left
            out, also not those after the trial's end, which act on nothing; without feedback
            ``times``, ``indices`` and ``offsets`` are those of the problem.
        indices: (events,), the row (of `Rows`) each goes through.
        source: (events,), the spike (its place in ``spike_times``) that a fed-back arrival comes
            from; -1 for external ones.
        offsets: (batch + 1,).
        spike_times: (spikes,), s; those of equal time are sorted by unit.
        spike_units: (spikes,), the neuron.
        spike_currents: (spikes,), j at the spike. With it, just before the spike
            u' = (j - threshold) / tau_mem and just after it u' = (j - reset) / tau_mem.
        spike_offsets: (batch + 1,).
    """

    times: Floats
    indices: Ints
    source: Ints
    offsets: Ints
    spike_times: Floats
    spike_units: Ints
    spike_currents: Floats
    spike_offsets: Ints
