"""PyTorch by hand, torch.compile of the loop"""

from __future__ import annotations

import torch

from spikewright.benches.core.task import NotOffered, Task, Work
from spikewright.benches.peers.torch_eager import VERSION, Eager

KIND = "by hand"
MOST_STEPS = 100
"""An unrolled loop of more steps compiles for minutes."""


def prepare(task: Task, variant: str) -> Work:
    """The eager loop by hand, compiled as one graph."""
    if task.steps > MOST_STEPS or task.action == "stream":
        raise NotOffered(f"only loops of up to {MOST_STEPS} steps: longer ones compile for minutes")
    if task.net not in ("lif", "dense") or task.action != "train":
        raise NotOffered("compiled for one layer and the dense training step only")
    eager = Eager(VERSION)
    net = eager.network(task)
    compiled: torch.nn.Module = torch.compile(net, fullgraph=True)  # type: ignore[assignment]
    return Work(eager.run(compiled, task), lambda: eager.rates(net, task), eager.version)
