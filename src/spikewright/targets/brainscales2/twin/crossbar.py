"""Rows and columns: which circuits an address reaches, and with what weight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.targets.brainscales2.chip import BLOCKS, COLUMNS, MOST_ADDRESS, Configuration

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Crossbar:
    """The rows and columns in use; what depends on row switches alone.

    Args:
        used: circuits in use, ascending, (n,).
        source: for each address, its place among those that rows listen to; -1 where none does.
        rows: for each block, its rows in use.
        slots: for each block, twice the place of the row's address, plus one if inhibitory.
        senders: for each circuit in use, the place of its address; -1 if no row listens.
        addressed: for each circuit in use, whether its spikes are sent anywhere.
    """

    used: NDArray[np.int64]
    source: NDArray[np.int32]
    rows: list[Array]
    slots: list[Array]
    senders: NDArray[np.int32]
    addressed: NDArray[np.bool_]

    @property
    def sources(self) -> int:
        """Addresses that rows listen to."""
        return int(self.source.max()) + 1

    def drive(self, weights: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Weight codes that a spike of each source adds, (sources, n, 2); 0 exc., 1 inhibitory."""
        total = np.zeros((2 * self.sources, len(self.used)), np.float32)
        for block in range(BLOCKS):
            own = np.flatnonzero(self.used // COLUMNS == block)
            if not len(own) or not len(self.rows[block]):
                continue
            chosen = weights[block][np.ix_(self.rows[block], self.used[own] % COLUMNS)]
            part = np.zeros((len(total), len(own)), np.float32)
            np.add.at(part, self.slots[block], chosen.astype(np.float32))
            total[:, own] = part
        pairs = total.reshape(self.sources, 2, len(self.used))
        return np.ascontiguousarray(pairs.transpose(0, 2, 1))

    def reach(self, drive: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether spikes of one circuit (column) arrive at another (row), (n, n)."""
        found = np.zeros((len(self.used), len(self.used)), np.bool_)
        heard = self.senders >= 0
        found[:, heard] = (drive != 0).any(axis=2)[self.senders[heard]].T
        return found

    def part(self, places: NDArray[np.int64]) -> Crossbar:
        """The crossbar with some of the circuits in use."""
        return replace(
            self,
            used=self.used[places],
            senders=self.senders[places],
            addressed=self.addressed[places],
        )

    def feedback(self, drive: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Weights from these circuits to themselves, (2 n, n), or ``None`` if all are zero."""
        if not self.reach(drive).any():
            return None
        n, heard = len(self.used), self.senders >= 0
        weights = np.zeros((2 * n, n), np.float32)
        weights[:, heard] = drive.reshape(len(drive), 2 * n)[self.senders[heard]].T
        return weights


def generations(reach: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Circuits in the order in which they can run, those that reach each other in one group.

    A group without a loop hears earlier groups only. What is in a loop, or behind one, is one last
    group.

    Args:
        reach: (n, n), see `Crossbar.reach`.

    >>> chain, loop = np.eye(3, k=-1, dtype=bool), np.eye(3, dtype=bool)
    >>> [places.tolist() for places in generations(chain)]
    [[0], [1], [2]]
    >>> [places.tolist() for places in generations(loop)]
    [[0, 1, 2]]
    """
    left, groups = np.arange(len(reach)), list[NDArray[np.int64]]()
    while len(left):
        waiting = reach[np.ix_(left, left)].any(axis=1)
        if waiting.all():
            return [*groups, left]
        groups.append(left[~waiting])
        left = left[waiting]
    return groups


def make_crossbar(configuration: Configuration) -> Crossbar:
    """What is in use: circuits that are sampled or have an address, rows that are on."""
    c = configuration
    seen = c.sampled | (c.neuron_address >= 0)
    if c.fast_circuit >= 0:
        seen = seen.copy()
        seen[c.fast_circuit] = True
    used = np.flatnonzero(seen) if seen.any() else np.zeros(1, np.int64)
    active = (c.row_sign != 0) & (c.row_address >= 0)
    known = np.unique(c.row_address[active])
    source = np.full(MOST_ADDRESS + 2, -1, np.int32)  # the last one is for address -1
    source[known] = np.arange(len(known), dtype=np.int32)
    rows = [np.flatnonzero(active[block]) for block in range(BLOCKS)]
    slots = [
        2 * source[c.row_address[block, on]] + (c.row_sign[block, on] < 0)
        for block, on in enumerate(rows)
    ]
    sent = c.neuron_address[used]
    return Crossbar(used, source, rows, slots, source[sent], sent >= 0)
