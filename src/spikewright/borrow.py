"""What training and rules borrow and give back: random streams and the mode of the layers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn

from spikewright import seeding


@contextlib.contextmanager
def streams_kept() -> Iterator[None]:
    """Leave the process's random streams as they were before the block."""
    before = seeding.random_state()
    try:
        yield
    finally:
        seeding.restore_random_state(before)


@contextlib.contextmanager
def in_mode(network: nn.Module, *, training: bool) -> Iterator[None]:
    """Put every layer in training or evaluation mode for the block, then back as each was."""
    before = {module: module.training for module in network.modules()}
    network.train(training)
    try:
        yield
    finally:
        for module, mode in before.items():
            module.training = mode
