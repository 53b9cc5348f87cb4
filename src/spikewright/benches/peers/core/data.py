"""Input and first weights, the same numbers for every framework."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spikewright.benches.core.task import Task, weight_bound

RATE = 0.1
"""Share of hidden neurons that is expected to spike in a step, for the scale of weights."""


def layer_input(task: Task, gain: float = 1.0) -> tuple[Tensor, Tensor]:
    """Input of a layer alone, (T, B, N), and the gradient of its output.

    Args:
        gain: what the framework multiplies its input by before it adds it to the potential.
    """
    largest = {"lif": 0.29, "cuba": 0.058}[task.net] / gain
    shape = (task.steps, task.batch, *task.sizes)
    x = torch.rand(shape, generator=_generator(0)).mul_(largest)
    return x.requires_grad_(), torch.randn(shape, generator=_generator(1))


def network_input(task: Task) -> tuple[Tensor, Tensor]:
    """Ones and zeros, (T, B, *inputs), as float32, and a class for each sample."""
    shape = (1, task.sizes[0], task.sizes[0]) if task.net == "conv" else task.sizes[:1]
    x = torch.rand((task.steps, task.batch, *shape), generator=_generator(2)) < task.density
    classes = torch.randint(task.sizes[-1], (task.batch,), generator=_generator(3))
    return x.float(), classes


def weights(task: Task, gain: float = 1.0) -> list[Tensor]:
    """Weights from layer to layer, outputs first; of a recurrent network the feedback last."""
    if task.net == "conv":
        side, first, second, outputs = task.sizes
        pooled = pooled_side(pooled_side(side))
        shapes = [(first, 1, 5, 5), (second, first, 5, 5), (outputs, second * pooled**2)]
        density = [task.density, 3 * RATE, 3 * RATE]  # a pool passes any spike of its four
    else:
        inputs, hidden, outputs = task.sizes
        shapes = [(hidden, inputs), (outputs, hidden)]
        density = [task.density, RATE]
        if task.net == "recurrent":
            shapes, density = [*shapes, (hidden, hidden)], [*density, 4 * RATE]
    return [
        _uniform(shape, weight_bound(share * math.prod(shape[1:])) / gain, seed)
        for seed, (shape, share) in enumerate(zip(shapes, density, strict=True))
    ]


def pooled_side(side: int) -> int:
    """Side of an image after a 5×5 convolution without padding and 2×2 pooling."""
    return (side - 4) // 2


def _uniform(shape: tuple[int, ...], bound: float, seed: int) -> Tensor:
    return torch.empty(shape).uniform_(-bound, bound, generator=_generator(10 + seed))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator(torch.get_default_device()).manual_seed(seed)
