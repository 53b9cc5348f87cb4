"""A network, data and a rule for tests of `Local`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import spikewright as sw
from spikewright.learning import Batch, Local
from spikewright.learning.plasticity import VDSP

INPUTS, NEURONS, STEPS, CLASSES = 9, 6, 60, 3


def network(seed: int = 0, compete: bool = True, **options: Any) -> sw.Sequential:
    """Nine driven inputs before six neurons that compete and adapt."""
    torch.manual_seed(seed)
    cells = sw.AdaptiveLIF(**{"r": 4.0, "beta": 0.02, "tau_adapt": 20.0, **options})
    last = sw.WinnerTakeAll(cells, clamp=10e-3) if compete else cells
    net = sw.Sequential(
        sw.LIF(v_leak=0.9, v_reset=-1.0, tau_mem=30e-3, refractory=5e-3),
        sw.Linear(INPUTS, NEURONS, bias=False),
        last,
        dt=5e-3,
    )
    net.build((INPUTS,))
    with torch.no_grad():
        plastic(net).uniform_(0, 1)
    return net


def plastic(net: sw.Sequential) -> Tensor:
    return net.layers["1_linear"].weight  # type: ignore[return-value]


def batch(samples: int = 12, seed: int = 0) -> Batch:
    """Constant currents; the class says which third of the inputs is driven."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(samples) % CLASSES
    x = 2.0 + 2.0 * torch.rand(samples, INPUTS, generator=generator)
    x = x * (torch.arange(INPUTS) // 3 == y[:, None])
    return Batch(x.expand(STEPS, samples, INPUTS), y)


class Split:
    """The batch's samples, as a data set has them."""

    shape, steps = (INPUTS,), STEPS

    def __init__(self, samples: int, seed: int) -> None:
        self.x, self.targets = batch(samples, seed)

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, index: Tensor, generator: Any = None) -> tuple[Tensor, Tensor]:
        return self.x[:, index], self.targets[index]


class Data:
    dt, classes = 5e-3, ("a", "b", "c")

    def __init__(self) -> None:
        self.train, self.validation, self.test = Split(24, 1), Split(9, 2), Split(9, 3)


def rule(**options: Any) -> Local:
    return Local(VDSP(lr=0.05), **options)


def fitted(net: sw.Sequential, rule: Local, **options: Any) -> Any:
    settings = {"epochs": 2, "batch_size": 5, "progress": False, **options}
    return sw.fit(net, Data(), rule, **settings)


def assigned(net: sw.Sequential, of: Local | None = None) -> tuple[Local, Any]:
    """A rule and its state after one batch and its labels."""
    of = of or rule()
    _, state = of.train_batch(net, batch(), of.init(net))
    return of, of.assign(net, [batch()], state)


def leaves(state: Any) -> list[Any]:
    return torch.utils._pytree.tree_leaves(state)


def equal(ours: Any, theirs: Any) -> bool:
    pairs = zip(leaves(ours), leaves(theirs), strict=True)
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)
