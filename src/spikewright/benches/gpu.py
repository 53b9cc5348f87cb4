"""Layers and a network on a GPU: against the copy limit, the eager loop and other frameworks.

Needs a GPU. As on the CPU, each framework runs in a process of its own on the same numbers, one
timing from each in turn; here everything lies on the GPU, and a timing ends when the GPU is done.
SpikingJelly takes its own kernels for a GPU by itself. The limit is three copies of the layer's
input.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from spikewright.benches.core.compare import Entry, measure, to_rows
from spikewright.benches.core.contender import Contender
from spikewright.benches.core.row import Row
from spikewright.benches.core.task import Task, Work
from spikewright.benches.peers import PEERS, ways
from spikewright.errors import BackendError

DEVICE = "cuda"
"""PyTorch's name for a GPU, be it one of NVIDIA or of AMD."""
ROUNDS = 25
FRAMEWORKS = (
    "spikewright", "torch-eager", "torch-compile", "copy-limit",
    "norse", "snntorch", "spikingjelly",
)  # fmt: skip
SIZES = ((100, 64, 1000), (1000, 16, 512), (100, 256, 4096))
TASKS = (
    *(
        Task(net, "train", steps, batch, (neurons,))
        for steps, batch, neurons in SIZES
        for net in ("lif", "cuba")
    ),
    Task("dense", "train", 100, 256, (700, 1024, 20), 0.05),
    Task("recurrent", "train", 100, 256, (700, 256, 20), 0.05),
)


def rows() -> Iterator[Row]:
    """Measure all tasks.

    Raises:
        BackendError: there is no GPU.
    """
    if not torch.cuda.is_available():
        raise BackendError(
            "bench gpu: there must be a GPU that PyTorch can use, got none "
            f"(torch {torch.__version__}). Run it on a machine with one, with a PyTorch built for "
            "it; 'spikewright bench engine' measures the CPU."
        )
    for task in TASKS:
        found = entries(task)
        measure(task, found, ROUNDS)
        yield from to_rows(task, found, task.unit)


def entries(task: Task) -> list[Entry]:
    """The frameworks that run on a GPU, in every way of using them, installed or not."""
    found: list[Entry] = []
    for name in FRAMEWORKS:
        module: Any = PEERS.load(name)
        first = "spikewright" if name == "spikewright" else "torch"
        for way in ways(module, task):
            contender = Contender(__name__, f"{name}:{way}", first=first)
            found.append(Entry(PEERS.summary(name), module.KIND, contender, way))
    return found


def prepare(task: Task, variant: str) -> Work:
    """The task as a framework does it, on the GPU.

    Args:
        variant: name of the framework and, after a colon, the way of using it.
    """
    name, _, way = variant.partition(":")
    torch.set_default_device(DEVICE)
    module: Any = PEERS.load(name)
    work: Work = module.prepare(task, way)

    def run() -> None:
        work.run()
        torch.cuda.synchronize()

    return Work(run, work.rates, f"{work.version} on {torch.cuda.get_device_name()}".strip())
