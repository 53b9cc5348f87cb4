"""PyTorch by hand, eager"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spikewright.benches.core.task import DECAY, Task, Work
from spikewright.benches.peers.core.data import weights
from spikewright.benches.peers.core.framework import Framework

KIND = "by hand"
VERSION = torch.__version__.partition("+")[0]


class Spike(torch.autograd.Function):
    """A step of the potential above the threshold; backward the derivative of a fast sigmoid."""

    @staticmethod
    def forward(u: Tensor) -> Tensor:
        return (u > 0).to(u.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (u,) = ctx.saved_tensors
        return gradients[0] / (1.0 + 10.0 * u.abs()).square()


class LIFCell(nn.Module):
    """v <- decay v + x; a spike takes the threshold off."""

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        v = x if v is None else torch.add(x, v, alpha=DECAY)
        spikes: Tensor = Spike.apply(v - 1.0)
        return spikes, v - spikes


class ReadoutCell(nn.Module):
    """v <- decay v + x"""

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        v = x if v is None else torch.add(x, v, alpha=DECAY)
        return v, v


class RecurrentCell(nn.Module):
    """LIF neurons that also get their own spikes of the step before."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight, self.cell = nn.Parameter(weight), LIFCell()

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        spikes, v = (None, None) if state is None else state
        if spikes is not None:
            x = torch.addmm(x, spikes, self.weight.T)
        spikes, v = self.cell(x, v)
        return spikes, (spikes, v)


class CubaCell(nn.Module):
    """i <- alpha i + x, v <- beta v + i, with both factors and the threshold learnable."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha, self.beta, self.threshold = (
            nn.Parameter(torch.tensor(value)) for value in (0.8, DECAY, 1.0)
        )

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        i, v = (torch.zeros_like(x),) * 2 if state is None else state
        i = self.alpha * i + x
        v = self.beta * v + i
        spikes: Tensor = Spike.apply(v - self.threshold)
        return spikes, (i, v - spikes * self.threshold)


class Eager(Framework):
    """Cells by hand; products of all steps at once."""

    def lif(self, neurons: int) -> nn.Module:
        return LIFCell()

    def readout(self, neurons: int) -> nn.Module:
        return ReadoutCell()

    def recurrent(self, task: Task) -> nn.Module:
        return RecurrentCell(weights(task)[-1])

    def cuba(self, neurons: int) -> nn.Module:
        return CubaCell()


def prepare(task: Task, variant: str) -> Work:
    """The task by hand in eager PyTorch."""
    return Eager(VERSION).work(task)
