"""Memory that a training step adds, against other frameworks.

The recurrent network's: by how much the resident memory of a fresh process grows at most during
three steps, counted from when network and data are there and a tiny network has run. This package
with all steps kept and with segments run again.
"""

from __future__ import annotations

from collections.abc import Iterator

from spikewright.benches.core.compare import entries, measure_memory, to_rows
from spikewright.benches.core.row import Row
from spikewright.benches.core.task import Task
from spikewright.benches.peers.spikewright import CHECKPOINT

ROUNDS = 3
TASKS = tuple(Task("recurrent", "train", steps, 64, (700, 256, 20), 0.05) for steps in (100, 1000))


def rows() -> Iterator[Row]:
    """Measure each framework in processes of its own, one after the other."""
    for task in TASKS:
        found = entries(task, own=("", CHECKPOINT))
        measure_memory(task, found, ROUNDS)
        yield from to_rows(task, found, "MB")
