"""Networks of each kind, busy enough that gradients pass, for tests of what PyTorch puts around."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import spikewright as sw

CLASSES = 4


def dense() -> list[Any]:
    return [
        sw.Linear(60, 40),
        sw.LIF(tau_mem=sw.learnable(10e-3)),
        sw.Linear(40, CLASSES),
        sw.LI(),
    ]


def current_based() -> list[Any]:
    return [
        sw.Linear(60, 40),
        sw.CubaLIF(tau_syn=sw.learnable(5e-3)),
        sw.Linear(40, CLASSES),
        sw.CubaLI(),
    ]


def recurrent() -> list[Any]:
    return [
        sw.Linear(60, 40),
        sw.Recurrent(sw.LIF(surrogate=sw.surrogate.SuperSpike(window=0.5))),
        sw.Linear(40, CLASSES),
        sw.LI(),
    ]


def convolutional() -> list[Any]:
    return [
        sw.Conv2d(1, 4, 5, path="events"),
        sw.LIF(),
        sw.MaxPool2d(2),
        sw.Conv2d(4, 8, 3, path="events"),
        sw.LIF(),
        sw.SumPool2d(2),
        sw.Flatten(),
        sw.Linear(None, CLASSES, path="events"),
        sw.LI(),
    ]


KINDS: dict[str, Callable[[], list[Any]]] = {
    f.__name__: f for f in (dense, current_based, recurrent, convolutional)
}


def make(kind: str, seed: int = 0) -> sw.Sequential:
    torch.manual_seed(seed)
    shape = (1, 14, 14) if kind == "convolutional" else (60,)
    net = sw.Sequential(*KINDS[kind](), dt=1e-3, shape=shape)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim >= 2:
                parameter.mul_(20)
    return net


def spikes(net: sw.Network, steps: int = 12, batch: int = 3, seed: int = 0) -> Tensor:
    assert net.shape is not None
    random = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, *net.shape, generator=random) < 0.2).float()


def loss_of(y: Tensor) -> Tensor:
    return y.square().sum()


def gradients(net: torch.nn.Module, x: Tensor, run: Callable[[Tensor], Any]) -> list[Tensor]:
    """The output and the gradient of each parameter; each must be there and not all zero."""
    net.zero_grad()
    y = run(x)[0]
    loss_of(y).backward()
    found = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    assert len(found) == len(list(net.parameters()))
    assert all(g.any() for g in found)
    return [y.detach(), *found]
