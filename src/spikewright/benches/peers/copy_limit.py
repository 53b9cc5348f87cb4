"""three copies of the tensor"""

from __future__ import annotations

import torch

from spikewright.benches.core.task import Task, Work
from spikewright.benches.peers.core.data import layer_input

KIND = "limit"
COPIES = 3


def variants(task: Task) -> tuple[str, ...]:
    """For a layer alone: a network has products to do as well."""
    return ("",) if task.layer_alone else ()


def prepare(task: Task, variant: str) -> Work:
    """Three reads and three writes of a layer's input, into memory that is there."""
    source = layer_input(task)[0].detach()
    targets = [torch.ones_like(source) for _ in range(COPIES)]

    def run() -> None:
        for target in targets:
            target.copy_(source)

    return Work(run, list)
