"""Small networks of IF and batches of constant currents, for the tests of proxy learning."""

from __future__ import annotations

from typing import Any

import torch

import spikewright as sw
from spikewright.learning import Batch

SOFT = sw.Firing(reset="subtract")


def cells(**options: Any) -> sw.IF:
    """On the reference backend, which needs no kernels compiled."""
    return sw.IF(**{"firing": SOFT, "backend": "reference", **options})


def dense(seed: int = 0, inputs: int = 6, hidden: int = 20, **options: Any) -> sw.Sequential:
    """Six currents, 20 neurons, three outputs, without kernels."""
    torch.manual_seed(seed)
    first, last = sw.Linear(inputs, hidden, path="dense"), sw.Linear(hidden, 3, path="dense")
    layers = (first, cells(**options), last, cells(**options))
    return sw.Sequential(*layers, dt=1e-3).double()


def conv(seed: int = 0, dropout: float = 0.0) -> sw.Sequential:
    """Images of 6 x 6 pixels, convolution, batch norm, spike max-pooling, three outputs."""
    torch.manual_seed(seed)
    layers = (
        sw.Conv2d(1, 4, 3, padding=1, bias=False, path="dense"),
        sw.BatchNorm(4),
        cells(),
        sw.MaxPool2d(2),
        sw.Flatten(),
        sw.Dropout(dropout),
        sw.Linear(None, 3, bias=False, path="dense"),
        cells(),
    )
    return sw.Sequential(*layers, dt=1e-3, shape=(1, 6, 6)).double()


def batch(seed: int = 0, samples: int = 12, steps: int = 8, shape: tuple[int, ...] = (6,)) -> Batch:
    """Constant currents; the class is the third of the first six values that is brightest."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.rand(samples, *shape, generator=generator, dtype=torch.float64)
    y = pixels.flatten(1)[:, :6].reshape(samples, 3, 2).sum(-1).argmax(-1)
    return Batch(pixels.expand(steps, -1, *[-1] * len(shape)), y)


def images(seed: int = 0, samples: int = 12, steps: int = 8) -> Batch:
    """A batch for `conv`."""
    return batch(seed, samples, steps, (1, 6, 6))
