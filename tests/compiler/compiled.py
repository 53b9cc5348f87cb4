"""A small network, its calibration sample, and the two compiled for the simulator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import spikewright as sw
from spikewright.compiler.program import Program


def net(seed: int = 0, width: int = 12, dt: float = 1e-3, **other: sw.Layer) -> sw.Sequential:
    """Layers 5, width, 3; ``other`` ones take the place of those of their name, or follow."""
    torch.manual_seed(seed)
    layers = {
        "in": sw.Linear(5, width), "hidden": sw.CubaLIF(tau_mem=10e-3),
        "w": sw.Linear(width, 3), "out": sw.LI(),
    }  # fmt: skip
    made = sw.Sequential(layers | other, dt=dt)
    with torch.no_grad():
        made.layers["in"].weight.mul_(8.0)
    return made


def sample(seed: int = 1, batch: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(30, batch, 5, generator=generator) < 0.4).float()


def compiled(network: sw.Network | None = None, **options: Any) -> Program:
    return sw.compile(network or net(), "simulator", calibration=sample(), **options)
