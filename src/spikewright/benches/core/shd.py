"""The network of sparse spiking gradient descent for spoken digits: ours, and loops by hand.

700-400-400-20 neurons over 500 steps of 2 ms, as in Perez-Nieves and Goodman, NeurIPS 2021
(arXiv:2105.08810), without biases: v <- alpha v + W s, threshold 1, surrogate
1 / (100 |v - 1| + 1)^2, no gradient through the reset, leaky readout. The input is noise of the
density of the recordings, and the first weights make as many neurons active at a window of 0.2
as the authors found in training: 1.7 and 1.1 %.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor

import spikewright as sw
from spikewright.benches.core.task import Task
from spikewright.benches.peers.core.data import network_input
from spikewright.benches.peers.core.runs import anew
from spikewright.benches.peers.torch_eager import VERSION
from spikewright.engine.products.costs import Path
from spikewright.engine.products.events import active_share, events_for, hand_on

DT, TAU, TAU_READOUT, WIDTH = 2e-3, 10e-3, 20e-3, 0.01
DECAY, DECAY_READOUT = math.exp(-DT / TAU), math.exp(-DT / TAU_READOUT)
DENSITY = 0.023
"""Of the input: a recording of the Spiking Heidelberg Digits has some 8000 events."""
RATES = (DENSITY, 0.0035, 0.0035)
"""Share of ones that each layer's weights are scaled for."""
SPREAD = 0.38
"""Standard deviation of the potential, in thresholds, before the reset."""
UNBOUND, INDEXED = "steps unbound", "steps indexed"
"""How a loop by hand gets at a step. ``h[t]``, as the authors write it, makes PyTorch's backward
pass quadratic in time; ``h.unbind(0)`` does not."""


class Model(Protocol):
    """The network in one way of running it."""

    version: str
    weights: list[Tensor]

    def first(self, x: Tensor) -> Tensor:
        """Spikes of the first hidden layer as a leaf, for `second`."""
        ...

    def second(self, spikes: Tensor) -> Tensor:
        """Spikes of the second hidden layer."""
        ...

    def whole(self, x: Tensor) -> Tensor:
        """The readout."""
        ...

    def facts(self, x: Tensor) -> list[float]:
        """Firing rates of both hidden layers, and with a window the shares that are active."""
        ...


def shd_task(
    steps: int = 500, batch: int = 32, sizes: tuple[int, ...] = (700, 400, 400, 20)
) -> Task:
    """The work, of the paper's size but for the batch."""
    return Task("dense", "train", steps, batch, sizes, DENSITY)


def first_weights(task: Task) -> list[Tensor]:
    """The same numbers for all: (outputs, inputs) of each product."""
    generator = torch.Generator().manual_seed(1)
    found: list[Tensor] = []
    for inputs, outputs, rate in zip(task.sizes, task.sizes[1:], RATES, strict=False):
        bound = SPREAD * math.sqrt(3 * (1 - DECAY**2) / (inputs * rate))
        found.append(torch.empty(outputs, inputs).uniform_(-bound, bound, generator=generator))
    return found


class Ours:
    """This package.

    Args:
        window: of the surrogate; ``None`` for full support.
        path: of the products, forward and backward.
    """

    def __init__(self, task: Task, window: float | None, path: Path = "auto") -> None:
        self.version = sw.__version__
        near = sw.surrogate.SuperSpike(WIDTH, window=window)
        firing, gain = sw.Firing(reset="subtract"), 1 / (1 - DECAY)
        layers: list[Any] = []
        for inputs, outputs in zip(task.sizes, task.sizes[1:], strict=False):
            layers.append(sw.Linear(inputs, outputs, bias=False, path=path))
            layers.append(sw.LIF(tau_mem=TAU, r=gain, surrogate=near, firing=firing))
        layers[-1] = sw.LI(tau_mem=TAU_READOUT)
        self.net = sw.Sequential(*layers, dt=DT, shape=task.sizes[:1])
        self.layers = list(self.net.layers.values())
        self.weights: list[Tensor] = list(self.net.parameters())
        with torch.no_grad():
            for weight, value in zip(self.weights, first_weights(task), strict=True):
                weight.copy_(value)

    def first(self, x: Tensor) -> Tensor:
        spikes = self._hidden(0, x)
        return hand_on(spikes, spikes.detach().requires_grad_())

    def second(self, spikes: Tensor) -> Tensor:
        return self._hidden(1, spikes)

    def whole(self, x: Tensor) -> Tensor:
        return self.net(anew(x))[0]

    def facts(self, x: Tensor) -> list[float]:
        first = self.first(x)
        second = self.second(first)
        shares = [active_share(first), active_share(second)]
        return [*_means(first, second), *(share for share in shares if share is not None)]

    def _hidden(self, place: int, x: Tensor) -> Tensor:
        product, neurons = self.layers[2 * place : 2 * place + 2]
        with events_for(True):
            return neurons(product(x)[0])[0]


class Spike(torch.autograd.Function):
    """A step of ``u`` above zero; backward the surrogate of the paper."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return (u > 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (u,) = ctx.saved_tensors
        return gradients[0] / (1.0 + u.abs() / WIDTH).square()


class ByHand:
    """Eager PyTorch: products of all steps at once, neurons in a loop.

    Args:
        way: `UNBOUND` or `INDEXED`.
    """

    def __init__(self, task: Task, way: str) -> None:
        self.version, self.indexed = VERSION, way == INDEXED
        self.weights = [value.requires_grad_() for value in first_weights(task)]

    def first(self, x: Tensor) -> Tensor:
        return self._hidden(x, self.weights[0]).detach().requires_grad_()

    def second(self, spikes: Tensor) -> Tensor:
        return self._hidden(spikes, self.weights[1])

    def whole(self, x: Tensor) -> Tensor:
        spikes = self.second(self._hidden(x, self.weights[0]))
        v, outputs = torch.zeros(()), list[Tensor]()
        for row in self._steps(spikes @ self.weights[2].T):
            v = DECAY_READOUT * v + (1 - DECAY_READOUT) * row
            outputs.append(v)
        return torch.stack(outputs)

    def facts(self, x: Tensor) -> list[float]:
        first = self.first(x)
        return _means(first, self.second(first))

    def _hidden(self, x: Tensor, weight: Tensor) -> Tensor:
        v, outputs = torch.zeros(()), list[Tensor]()
        for row in self._steps(x @ weight.T):
            v = DECAY * v + row
            spikes: Tensor = Spike.apply(v - 1.0)
            v = v - spikes.detach()
            outputs.append(spikes)
        return torch.stack(outputs)

    def _steps(self, h: Tensor) -> Iterable[Tensor]:
        return (h[t] for t in range(len(h))) if self.indexed else h.unbind(0)


@functools.lru_cache(maxsize=1)
def shd_input(task: Task) -> Tensor:
    """Ones and zeros, (T, B, inputs)."""
    return network_input(task)[0]


def _means(*spikes: Tensor) -> list[float]:
    return [float(s.detach().mean()) for s in spikes]
