"""What a faster way of training costs in loss: the recurrent network with and without a window."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import spikewright as sw
from spikewright.benches.core.row import Row
from spikewright.benches.core.task import Task
from spikewright.benches.core.timing import Timing
from spikewright.benches.peers.spikewright import WINDOWS, network

STEPS, SEEDS, LEARNING_RATE = 50, range(10), 1e-3
TEST_BATCHES = 4
Result = tuple[float, float]
"""Loss, and share of correct answers."""
CONTRAST = 0.4
"""By which share of their mean the rates of an input differ at most."""


def loss_rows(task: Task, seeds: range = SEEDS, steps: int = STEPS) -> Iterator[Row]:
    """Losses on new samples after ``steps`` training steps, windowed beside full support.

    Figures are means over the seeds. Both ways have the same first weights and samples, of each
    seed its own. A class is a rate for each input, about the density of the task; samples are
    Poisson noise of these rates.
    """
    full = [trained(task, "", seed, steps) for seed in seeds]
    for way in WINDOWS:
        yield _row(task, way, steps, [trained(task, way, seed, steps) for seed in seeds], full)


def _row(task: Task, way: str, steps: int, windowed: list[Result], full: list[Result]) -> Row:
    apart = [ours[0] - theirs[0] for ours, theirs in zip(windowed, full, strict=True)]
    ours, others = (Timing(tuple(loss for loss, _ in found)) for found in (windowed, full))
    error = statistics.stdev(apart) / math.sqrt(len(apart))
    correct = [100 * sum(share for _, share in found) / len(found) for found in (windowed, full)]
    return Row(
        f"test loss after {steps} training steps, {task.label}, {way}, {len(full)} seeds",
        statistics.fmean(ours.samples),
        statistics.fmean(others.samples),
        "full support",
        "nats",
        note=(
            f"windowed minus full {statistics.fmean(apart):+.3f}, standard error {error:.3f}; "
            f"correct {correct[0]:.0f} and {correct[1]:.0f} %"
        ),
        spread=(ours.spread, others.spread),
    )


def trained(task: Task, way: str, seed: int, steps: int) -> Result:
    """Train from the weights of a seed; return loss and share of correct answers on new samples."""
    generator = torch.Generator().manual_seed(seed)
    net = network(task, way)
    unit = 2 * torch.rand(task.sizes[-1], task.sizes[0], generator=generator) - 1
    rates = task.density * (1 + CONTRAST * unit)
    _draw(net, generator)
    optimiser = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    for _ in range(steps):
        scores, classes = _answer(net, task, rates, generator)
        optimiser.zero_grad()
        cross_entropy(scores, classes).backward()
        optimiser.step()
    with torch.no_grad():
        answers = [_answer(net, task, rates, generator) for _ in range(TEST_BATCHES)]
    scores, classes = (torch.cat(part) for part in zip(*answers, strict=True))
    return float(cross_entropy(scores, classes)), float(
        (scores.argmax(1) == classes).float().mean()
    )


def _draw(net: sw.Network, generator: torch.Generator) -> None:
    """Draw each weight anew within the bounds it has; biases stay zero."""
    with torch.no_grad():
        for parameter in net.parameters():
            bound = float(parameter.abs().max())
            parameter.uniform_(-bound, bound, generator=generator)


def _answer(
    net: sw.Network, task: Task, rates: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The mean readout of a new batch, (B, outputs), and its classes."""
    classes = torch.randint(len(rates), (task.batch,), generator=generator)
    chance = torch.rand(task.steps, task.batch, rates.shape[1], generator=generator)
    return net((chance < rates[classes]).float())[0].mean(0), classes
