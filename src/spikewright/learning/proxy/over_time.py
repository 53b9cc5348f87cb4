"""Accuracy of a spiking network over the length of its run, without training it anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from spikewright import seeding
from spikewright.borrow import in_mode, streams_kept
from spikewright.errors import ParameterError, ShapeError
from spikewright.learning.proxy.output import choose, tied
from spikewright.learning.proxy.spiking import STEPS_AT_ONCE, Fired, is_constant, run_spiking
from spikewright.network import Network


@dataclass(frozen=True)
class OverTime:
    """Accuracy and share of ties, each from 0 to 1, after each number of steps."""

    steps: tuple[int, ...]
    accuracy: tuple[float, ...]
    ties: tuple[float, ...]
    samples: int

    def __str__(self) -> str:
        rows = zip(self.steps, self.accuracy, self.ties, strict=True)
        lines = [f"{steps:5d}  {right:8.2%}  {ties:6.1%}" for steps, right, ties in rows]
        return "\n".join(["steps  accuracy    ties", *lines])


def accuracy_over_time(
    network: Network,
    split: Any,
    steps: Sequence[int] = (1, 2, 4, 8, 16, 32),
    *,
    batch_size: int = 256,
    seed: int = 0,
) -> OverTime:
    """Measure a network of `IF` by spike counts after several numbers of steps, in one run each.

    The class is that of `spikewright.learning.proxy.choose`; a tie is never resolved in favour of
    the label.

    Args:
        network: its output is a layer of neurons with a membrane ``v``.
        split: of a data set; a constant current is held for as long as it takes.
        steps: in rising order.
        batch_size: samples at once.
        seed: of the encoder.

    Raises:
        ParameterError: ``steps`` are not positive and rising.
        ShapeError: input that varies in time ends before the last of them.
    """
    wanted = tuple(steps)
    if not wanted or wanted[0] < 1 or any(a >= b for a, b in pairwise(wanted)):
        raise ParameterError(
            f"accuracy_over_time: steps must be positive and rising, got {wanted}. "
            "Pass for example (1, 2, 4, 8)."
        )
    right, ties, device = [0] * len(wanted), [0] * len(wanted), _device(network)
    with in_mode(network, training=False), streams_kept():
        for number, index in enumerate(torch.arange(len(split)).split(batch_size)):
            x, y = split.batch(index, seeding.generator(seed, "over time", number))
            x, y = network.to_floating(x).to(device), y.to(device)
            for place, fired in enumerate(_runs(network, x, wanted)):
                right[place] += int((choose(fired.output, fired.v.float()) == y).sum())
                ties[place] += int(tied(fired.output).sum())
    samples = len(split)
    accuracy, tied_share = (tuple(n / samples for n in counts) for counts in (right, ties))
    return OverTime(wanted, accuracy, tied_share, samples)


def _runs(network: Network, x: Tensor, steps: tuple[int, ...]) -> Iterator[Fired]:
    """What the network did up to each number of steps."""
    if not is_constant(x) and len(x) < steps[-1]:
        raise ShapeError(
            f"accuracy_over_time: input that varies in time must have {steps[-1]} steps, got "
            f"{len(x)}. Use fewer steps, or a constant current."
        )
    fired: Fired | None = None
    for first, last in zip((0, *steps), steps, strict=False):
        part = x[:1].expand(last - first, *x.shape[1:]) if is_constant(x) else x[first:last]
        fired = run_spiking(network, part, STEPS_AT_ONCE, fired)
        yield fired


def _device(network: Network) -> torch.device:
    return next((p.device for p in network.parameters()), torch.device("cpu"))
