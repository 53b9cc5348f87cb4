"""Modules as users write them, with weights and batch norm statistics of a trained network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """Two branches that are added before a ReLU, as in a residual network, and one behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.deep = nn.Conv2d(6, 6, 3, stride=2, padding="valid")
        self.norm2 = nn.BatchNorm2d(6)
        self.short = nn.Conv2d(6, 6, 1, stride=2)
        self.depthwise = nn.Conv2d(6, 6, 3, padding="same", groups=6)
        self.dropout = nn.Dropout(0.5)
        self.out = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = functional.relu(self.norm2(self.deep(x)) + self.short(x[:, :, 1:-1, 1:-1]))
        y = functional.relu(self.depthwise(x))
        y = self.dropout(y + x)
        return self.out(y.mean((2, 3)))


class PlainResidual(Residual):
    """The same without the slice, which no accelerator here knows."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = functional.relu(self.norm2(self.deep(x)) + self.short(self.cut(x)))
        y = functional.relu(self.depthwise(x))
        y = self.dropout(y + x)
        return self.out(y.mean((2, 3)))

    def cut(self, x: Tensor) -> Tensor:
        return functional.max_pool2d(x, (3, 3), (1, 1))


def lines() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(3, 8, 5, stride=2, padding=2),
        nn.BatchNorm1d(8, eps=0.1),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(8, 8, 3, groups=8, padding="same"),
        nn.ReLU(inplace=True),
        nn.AvgPool1d(3, 2, padding=1),
        nn.Identity(),
        nn.Flatten(),
        nn.Linear(8 * 3, 12, bias=False),
        nn.BatchNorm1d(12),
        nn.ReLU(),
        nn.Linear(12, 5),
    )


def images() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, (5, 3), padding=(2, 1)),
        nn.MaxPool2d(2),  # before its ReLU
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, stride=(2, 1)),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d((1, 2)),
        nn.Flatten(),
        nn.Linear(16, 5),
    )


class Mixed(nn.Module):
    """Branches whose scales differ by 9, of a mean, and by what the weights have."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.mean = nn.AvgPool2d(3, 1, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.third = nn.Conv2d(4, 4, 1)
        self.out = nn.Linear(4 * 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(x)))
        y = torch.relu(self.second(x) + self.mean(x))
        z = torch.relu(self.third(y) + self.mean(x) + y)
        return self.out(functional.avg_pool2d(z, 2).flatten(1))


CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "lines": (lines, (3, 24)),
    "images": (images, (1, 12, 12)),
    "mixed": (Mixed, (1, 8, 8)),
    "residual": (PlainResidual, (2, 9, 9)),
}


def case(name: str, samples: int = 64) -> tuple[nn.Module, Tensor]:
    """A module in evaluation mode and inputs from 0 to 1."""
    torch.manual_seed(sum(map(ord, name)))
    kind, shape = CASES[name]
    module = kind()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 2.0)
            nn.init.uniform_(part.bias, -0.3, 0.5)
            nn.init.uniform_(part.running_mean, -0.3, 0.3)
            nn.init.uniform_(part.running_var, 0.05, 0.5)
    return module.eval(), torch.rand(samples, *shape)
