"""dense products alone"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikewright.benches.core.task import Task, Work
from spikewright.benches.peers.core.data import weights
from spikewright.benches.peers.core.framework import Framework
from spikewright.benches.peers.core.nets import Unrolled

KIND = "limit"


class Pass(nn.Module):
    """A cell that does nothing."""

    def forward(self, x: Tensor, state: None) -> tuple[Tensor, None]:
        return x, state


class Feedback(nn.Module):
    """A recurrent layer's product and no more."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor, last: Tensor | None) -> tuple[Tensor, Tensor]:
        y = x if last is None else torch.addmm(x, last, self.weight.T)
        return y, y


class Products(Framework):
    """Networks without neurons."""

    def __init__(self, cells: bool) -> None:
        super().__init__("")
        self.cells = cells

    def lif(self, neurons: int) -> nn.Module:
        return Pass() if self.cells else nn.Identity()

    readout = lif

    def recurrent(self, task: Task) -> nn.Module:
        cell = Feedback(weights(task)[-1])
        return cell if self.cells else Unrolled(cell)

    def rates(self, net: nn.Module, task: Task) -> list[float]:
        return []


def variants(task: Task) -> tuple[str, ...]:
    """For networks: a layer alone has no products."""
    return () if task.layer_alone else ("",)


def prepare(task: Task, variant: str) -> Work:
    """The dense products and convolutions of the task, with pooling, loss and Adam."""
    return Products(cells=task.action == "stream").work(task)
