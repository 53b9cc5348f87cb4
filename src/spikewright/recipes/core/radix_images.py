"""Images for networks in whole numbers, and how many of them they get right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.integer import IntegerNetwork
from spikewright.targets.fpga.rates import run_rates

PART = 500
"""Images that are worked out at once."""


def images_of(
    split: Any, index: Iterable[int], generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Images (samples, *features), without the one step that they take in training, and classes."""
    x, y = split.batch(torch.tensor(list(index)), generator)
    return x[0], y


def training_images(data: Any, seed: int) -> tuple[Tensor, Tensor]:
    """All of them, augmented once."""
    return images_of(data.train, range(len(data.train)), torch.Generator().manual_seed(seed))


def parts_of(split: Any, part: int = PART) -> Iterable[tuple[Tensor, Tensor]]:
    """All images of a split, so many at once."""
    for first in range(0, len(split), part):
        yield images_of(split, range(first, min(first + part, len(split))))


def accuracy_of(network: IntegerNetwork, split: Any) -> float:
    """Of a network in whole numbers, %."""
    right = sum(
        int((network.run(encode(network, x)).flatten(1).argmax(1) == y).sum())
        for x, y in parts_of(split)
    )
    return 100 * right / len(split)


def rate_accuracy_of(network: IntegerNetwork, split: Any, steps: int) -> float:
    """Of the same network where each number is so many evenly spaced spikes, %."""
    right = 0
    for x, y in parts_of(split):
        *_, last = run_rates(network, x, steps)
        right += int((last.values.flatten(1).argmax(1) == y).sum())
    return 100 * right / len(split)
