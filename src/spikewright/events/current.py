"""What reaches a group of neurons: arrivals in order of time, each through a row of synapses."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Table(NamedTuple):
    """Which neurons a row of synapses reaches, where it does not reach all.

    Row r has the synapses ``first[r]:first[r + 1]``: synapse s adds ``weight[entry[s]]`` to the
    current of neuron ``target[s]``.

    Args:
        first: (rows + 1,) int64.
        target: (synapses,) int64.
        entry: (synapses,) int64, its place in the list of weights, which several may share.
    """

    first: Tensor
    target: Tensor
    entry: Tensor


class Synapses(NamedTuple):
    """Rows of synapses onto ``neurons`` neurons.

    Args:
        weight: without a table (rows, neurons); with one a list of weights. float64, in units of
            the membrane (w r), may carry a gradient.
        neurons: number of targets.
        table: ``None`` where each row reaches every neuron.
    """

    weight: Tensor
    neurons: int
    table: Table | None = None


class Current(NamedTuple):
    """Arrivals of a batch.

    Args:
        times: (arrivals,) float64, s, from 0 on, sorted in each sample; may carry a gradient.
            Those after ``duration`` act on nothing.
        rows: (arrivals,) int64, the row of synapses each goes through.
        offsets: (batch + 1,) int64; those of sample b are ``offsets[b]:offsets[b + 1]``.
        synapses: what the rows are.
        duration: length of the trial, s.
    """

    times: Tensor
    rows: Tensor
    offsets: Tensor
    synapses: Synapses
    duration: float

    @property
    def batch(self) -> int:
        """Number of samples."""
        return len(self.offsets) - 1


class Feedback(NamedTuple):
    """Connection from the spikes of a group of neurons back to them.

    A spike of neuron n at t arrives through each row r of ``first_row[n]:first_row[n + 1]``, at
    t + ``delay[r]``.

    Args:
        synapses: onto the same neurons.
        first_row: (neurons + 1,) int64.
        delay: (rows,) float64, s, 0 or more; may carry a gradient.
    """

    synapses: Synapses
    first_row: Tensor
    delay: Tensor
