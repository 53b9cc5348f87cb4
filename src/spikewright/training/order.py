"""Which samples come when: pure functions of seed and position.

Nothing is drawn in sequence, so a run resumed in the middle of an epoch needs no replay.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spikewright import seeding


def epoch_order(samples: int, seed: int, epoch: int) -> Tensor:
    """The order of the samples in one epoch, (samples,) int64.

    >>> sorted(epoch_order(4, seed=0, epoch=2).tolist())
    [0, 1, 2, 3]
    """
    return torch.randperm(samples, generator=seeding.generator(seed, "order", epoch))


def count_steps(samples: int, batch_size: int) -> int:
    """Batches in an epoch; the last one may be smaller.

    >>> count_steps(10, 4)
    3
    """
    return -(-samples // batch_size)


def share(batch: int, rank: int, processes: int) -> slice:
    """The contiguous part of a batch that one of several processes takes.

    >>> [share(5, rank, 2) for rank in range(2)]
    [slice(0, 3, None), slice(3, 5, None)]
    """
    base, extra = divmod(batch, processes)
    start = rank * base + min(rank, extra)
    return slice(start, start + base + (rank < extra))
