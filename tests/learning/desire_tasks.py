"""Networks and data that the tests of desire backpropagation share."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch

import spikewright as sw
from spikewright.learning import Batch

STEPS, DT = 20, 1e-3
CELLS: dict[str, Any] = {
    "order": "euler", "tau_mem": 4 * DT, "r": 4.0, "firing": sw.Firing("subtract", inclusive=True),
}  # fmt: skip


def network(
    *sizes: int, dropout: float = 0.0, first: float = 0.0, dtype: torch.dtype = torch.float32
) -> sw.Network:
    """m <- 0.75 m + W s and theta = 1, with Kaiming's first weights."""
    # In the precision of the weights, or 1 - dt / tau_mem would not be 0.75.
    cells = CELLS | {"tau_mem": torch.tensor(4 * DT, dtype=dtype)}
    layers: list[Any] = []
    for place, (inputs, outputs) in enumerate(pairwise(sizes)):
        p = dropout if place else first
        layers += [sw.Dropout(p)] if p else []
        layers += [sw.Linear(inputs, outputs, bias=False), sw.LIF(**cells)]
    net = sw.Sequential(*layers, dt=DT).to(dtype)
    net.build(sizes[:1])
    stream = torch.Generator().manual_seed(0)
    for weight in net.parameters():
        torch.nn.init.kaiming_normal_(weight, generator=stream)
    return net


def weights(net: sw.Network) -> list[Any]:
    return [weight.detach().numpy().copy() for weight in net.parameters()]


def spikes(batch: int, inputs: int, seed: int = 0, steps: int = STEPS) -> torch.Tensor:
    """Rate codes of random values, a third of them dark, (time, batch, inputs)."""
    stream = torch.Generator().manual_seed(seed)
    values = (torch.rand(batch, inputs, generator=stream) * 1.5 - 0.5).clamp(0, 1)
    return sw.coding.Deterministic(steps, DT, phase=0.0)(values)


def patterns(samples: int, inputs: int = 40, classes: int = 4, seed: int = 0) -> Batch:
    """Noisy copies of one bright pattern a class."""
    known = torch.rand(classes, inputs, generator=torch.Generator().manual_seed(99)).gt(0.6).float()
    stream = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (samples,), generator=stream)
    noise = torch.rand(samples, inputs, generator=stream)
    x = (0.7 * known[y] + 0.5 * noise - 0.1).clamp(0, 1)
    return Batch(sw.coding.Deterministic(STEPS, DT, phase=0.0)(x), y)
