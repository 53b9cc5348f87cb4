"""Networks of a framework's neurons: layer by layer over all steps, or all layers step by step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.benches.core.task import Task
from spikewright.benches.peers.core.data import weights


class AllSteps(nn.Module):
    """A layer without state applied to all steps in one call: (T, B, *) to (T, B, *)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x.flatten(0, 1))
        return y.unflatten(0, x.shape[:2])


class Unrolled(nn.Module):
    """A cell ``(x[t], state) -> (y[t], state)`` in a loop over time."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        state: Any = None
        outputs: list[Tensor] = []
        for row in x.unbind(0):
            output, state = self.cell(row, state)
            outputs.append(output)
        return torch.stack(outputs)


class Stack(nn.Module):
    """Connections and neurons in turn, each over the whole sequence."""

    def __init__(self, links: Iterable[nn.Module], neurons: Iterable[nn.Module]) -> None:
        super().__init__()
        self.links, self.neurons = nn.ModuleList(links), nn.ModuleList(neurons)

    def forward(self, x: Tensor) -> Tensor:
        for link, neurons in zip(self.links, self.neurons, strict=True):
            x = neurons(link(x))
        return x


class StepByStep(nn.Module):
    """All connections and cells at each step, as most tutorials write it."""

    def __init__(self, links: Iterable[nn.Module], neurons: Iterable[nn.Module]) -> None:
        super().__init__()
        self.links, self.neurons = nn.ModuleList(links), nn.ModuleList(neurons)

    def step(self, x: Tensor, states: list[Any] | None) -> tuple[Tensor, list[Any]]:
        """One step of the whole network; ``states`` is ``None`` before the first."""
        after: list[Any] = []
        for place, (link, cell) in enumerate(zip(self.links, self.neurons, strict=True)):
            x, state = cell(link(x), states[place] if states else None)
            after.append(state)
        return x, after

    def forward(self, x: Tensor) -> Tensor:
        states: list[Any] | None = None
        outputs: list[Tensor] = []
        for row in x.unbind(0):
            output, states = self.step(row, states)
            outputs.append(output)
        return torch.stack(outputs)


def connections(task: Task, gain: float = 1.0) -> list[nn.Module]:
    """What comes before each layer of neurons: products, convolutions with their pooling."""
    values = weights(task, gain)
    if task.net != "conv":
        return [_linear(value) for value in values[:2]]
    first, second, last = values
    return [
        with_weight(nn.Conv2d(1, len(first), 5), first),
        nn.Sequential(nn.MaxPool2d(2), with_weight(nn.Conv2d(len(first), len(second), 5), second)),
        nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), _linear(last)),
    ]


def _linear(weight: Tensor) -> nn.Module:
    outputs, inputs = weight.shape
    return with_weight(nn.Linear(inputs, outputs), weight)


def with_weight(layer: nn.Linear | nn.Conv2d, weight: Tensor) -> nn.Module:
    """The layer with that weight, and a bias of zero if it has one."""
    with torch.no_grad():
        layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer
