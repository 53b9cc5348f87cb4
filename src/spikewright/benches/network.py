"""Whole networks: a training step, inference and streaming against other frameworks.

Every framework gets the same dense tensor of ones and zeros, weights and, as far as its equations
allow, firing rates; each runs in a process of its own, one timing from each in turn. Training is
forward, cross-entropy of the mean readout, backward and a fused step of Adam. The last rows say
what a window on the surrogate costs in loss.
"""

from __future__ import annotations

from collections.abc import Iterator

from spikewright.benches.core.compare import compared
from spikewright.benches.core.losses import loss_rows
from spikewright.benches.core.row import Row
from spikewright.benches.core.task import Task

ROUNDS = 9
SIZES, IMAGE = (700, 256, 20), (28, 16, 32, 10)
RECURRENT = Task("recurrent", "train", 100, 64, SIZES, 0.05)
TASKS = (
    Task("dense", "train", 100, 64, SIZES, 0.05),
    Task("dense", "train", 100, 64, SIZES, 0.01),
    RECURRENT,
    Task("conv", "train", 25, 32, IMAGE, 0.5),
    Task("conv", "train", 25, 32, IMAGE, 0.05),
    Task("dense", "infer", 100, 64, SIZES, 0.05),
    Task("recurrent", "stream", 500, 1, SIZES, 0.05),
)


def rows() -> Iterator[Row]:
    """Measure all tasks."""
    yield from compared(TASKS, ROUNDS)
    yield from loss_rows(RECURRENT)
