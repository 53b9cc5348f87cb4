"""One spike a neuron against many: convergence on a toy, sparsity, latency and dead neurons.

The toy of Bacho and Chu (arXiv:2212.09500): four inputs spike at 0, 0, 1, 2 or at 0, 0, 2, 1, and
two outputs must tell the two apart, from normal first weights of many means and spreads. Beside
it a network on MNIST, trained once with a loss on first spikes and once on spike counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

import spikewright as sw
from spikewright.coding import SpikeTimes
from spikewright.events import EventRun, Limits, simulate
from spikewright.events.exact import Exact
from spikewright.events.network import run_events
from spikewright.learning.event_losses import (
    EventLoss,
    FirstSpikeSoftmax,
    Readout,
    SpikeCountTarget,
)
from spikewright.recipes.core.recipe import Figure, Recipe
from spikewright.recipes.core.run import Outcome
from spikewright.recipes.core.spike_time import SpikeTimeRecipe, SpikeTimeSettings
from spikewright.recipes.core.trials import accuracy, train_each

GRID = torch.arange(13) * 0.2
"""Means and spreads of the toy's first weights."""
EPOCHS, RATE = 50, 0.1
WAYS = {"one spike": {"loss": "first spike"}, "many spikes": {"loss": "count"}}
SOLVED = "toy: first weights from which it is solved, %"
WINS = "toy: share solved with many spikes minus one, points"


class MultiSpikeAdvantagesSettings(SpikeTimeSettings):
    """The toy's repeats; data and network of the comparison on MNIST."""

    epochs: int = Field(4, ge=1)
    """passes over the training images"""
    batch_size: int = Field(50, ge=1)
    """images a step"""
    images: int | None = Field(10_000, ge=1)
    """at most that many images of each split; all if not set"""
    validation: int = Field(1000, ge=1)
    """training images held out to choose the best epoch"""
    hidden: int = Field(100, ge=1)
    """hidden neurons"""
    repeats: int = Field(20, ge=1)
    """of the toy for each mean and spread of the first weights"""


class MultiSpikeAdvantages(SpikeTimeRecipe[MultiSpikeAdvantagesSettings]):
    """The recipe `multi-spike-advantages`."""

    title = "One spike a neuron against many"
    Settings = MultiSpikeAdvantagesSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {"epochs": 30, "images": None, "hidden": 800, "repeats": 100},
    }
    seeds = {"small": 3, "full": 5}  # noqa: RUF012 - a constant
    figures = (
        Figure(WINS, 0.0, "the paper: many spikes converge from more first weights"),
        *(Figure(f"{way}: test accuracy, %", 90.0, "reported") for way in WAYS),
    )

    def data(self, settings: MultiSpikeAdvantagesSettings) -> Any:
        code = self.encoder(settings)
        return sw.data.MNIST(code, validation=settings.validation, limit=settings.images)

    def layers(
        self, settings: MultiSpikeAdvantagesSettings
    ) -> Sequence[tuple[list[Any], float, int]]:
        once = settings.loss == "first spike"
        return (
            ([sw.Linear(784, settings.hidden, bias=False)], 0.7 if once else 0.2, 30),
            ([sw.Linear(settings.hidden, 10, bias=False)], 2.0 if once else 1.3, 30),
        )

    def measure(
        self,
        settings: MultiSpikeAdvantagesSettings,
        folder: Path,
        *,
        resume: bool | str,
        progress: bool,
    ) -> dict[str, float]:
        values = toy(settings.repeats, settings.seed)
        done = train_each(self, settings, folder, WAYS, resume=resume, progress=progress)
        for way, outcome in done.items():
            values[f"{way}: test accuracy, %"] = accuracy(outcome)
            values |= {f"{way}: {name}": value for name, value in _table(outcome).items()}
        return values


class Decisions(NamedTuple):
    """What a trained network does with samples.

    Args:
        spikes: mean hidden spikes of a neuron and sample.
        latency: mean time after which its choice does not change any more, s.
        dead: share of hidden neurons that never spike.
    """

    spikes: float
    latency: float
    dead: float


def decisions(run: EventRun, *, first: bool) -> tuple[Tensor, Tensor]:
    """Spikes of the hidden neurons, and when each sample's choice is final, s.

    Args:
        run: of a network whose last two layers of neurons spike.
        first: whether the first output spike decides, or else the number of spikes.
    """
    hidden, output = list(run.fired.values())[-2:]
    if first:
        return hidden.counts, output.spikes.first().amin(1)
    return hidden.counts, _settled(output.spikes)


def _settled(spikes: SpikeTimes) -> Tensor:
    """The time of the spike after which the unit that leads at the end leads for good, (batch,)."""
    final = torch.full((spikes.batch,), torch.inf, dtype=torch.float64)
    for sample in range(spikes.batch):
        mine = spikes[sample : sample + 1]
        running = torch.nn.functional.one_hot(mine.units, spikes.size).cumsum(0)
        if len(mine):
            leads = running.argmax(1) == running[-1].argmax()
            after = int((~leads).nonzero().max()) + 1 if bool((~leads).any()) else 0
            final[sample] = mine.times[after]
    return final


def _table(outcome: Outcome) -> dict[str, float]:
    parts: Any = outcome.parts
    x, _ = parts.data.test.batch(range(min(1000, len(parts.data.test))))
    once = parts.settings.loss == "first spike"
    most = parts.rule.max_spikes
    limits = {n: Limits(m) for n, m in most.items()} if isinstance(most, dict) else Limits(most)
    with torch.no_grad():
        counts, final = decisions(simulate(parts.network, x, limits), first=once)
    decided = final.isfinite()
    return {
        "hidden spikes a neuron and image": float(counts.mean()),
        "decision latency, ms": 1e3 * float(final[decided].mean()),
        "dead hidden neurons, %": 100 * float((counts.sum(0) == 0).double().mean()),
    }


def toy(repeats: int, seed: int) -> dict[str, float]:
    """From which share of the first weights the toy is solved, for one spike and for many."""
    one = 100 * solved(FirstSpikeSoftmax(tau=0.1), 1, repeats, seed).mean()
    many = 100 * solved(SpikeCountTarget(10.0, 0.0), 10, repeats, seed).mean()
    return {
        f"one spike, {SOLVED}": float(one),
        f"many spikes, {SOLVED}": float(many),
        WINS: float(many - one),
    }


def solved(loss: EventLoss, most: int, repeats: int, seed: int) -> Tensor:
    """Share of solved repeats for each mean and spread of the first weights, (means, spreads).

    All repeats are outputs of one network: with a single layer, none acts on another.

    Args:
        loss: of two outputs.
        most: spikes of an output in a trial.
        repeats: for each mean and spread.
        seed: of the first weights.
    """
    pairs = len(GRID) ** 2 * repeats
    network = _toy_network(2 * pairs, seed)
    x = SpikeTimes.from_first(torch.tensor([[0.0, 0.0, 1.0, 2.0], [0.0, 0.0, 2.0, 1.0]]), 10.0)
    targets = torch.arange(2).repeat_interleave(pairs)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    for _ in range(EPOCHS):
        optimiser.zero_grad()
        scored = loss(_apart(run_events(network, x, Exact("chain"), Limits(most)), x), targets)
        (pairs * scored.loss).backward()
        optimiser.step()
    scores = loss(_apart(run_events(network, x, Exact("chain"), Limits(most)), x), targets).scores
    right, wrong = scores.gather(1, targets[:, None]), scores.gather(1, 1 - targets[:, None])
    both = (right > wrong).view(2, pairs).all(0).double()
    return both.view(len(GRID), len(GRID), repeats).mean(2)


def _toy_network(outputs: int, seed: int) -> sw.Network:
    cells = sw.CubaLIF(tau_mem=2.0, tau_syn=1.0, v_threshold=0.5)
    network = sw.Sequential(sw.Linear(4, outputs, bias=False), cells, dt=0.1)
    stream = torch.Generator().manual_seed(seed)
    drawn = torch.randn(len(GRID), len(GRID), outputs // len(GRID) ** 2, 4, generator=stream)
    values = GRID[:, None, None, None] + GRID[None, :, None, None] * drawn
    with torch.no_grad():
        next(network.parameters()).copy_(values.view(outputs, 4))
    return network


def _apart(run: EventRun, x: SpikeTimes) -> Readout:
    """The run as if each pair of outputs in each sample were a sample of its own."""
    (fired,) = run.fired.values()
    spikes = fired.spikes
    pairs = spikes.size // 2
    samples = spikes.samples * pairs + spikes.units // 2
    like = (spikes.batch * pairs, (2,), spikes.duration)
    alone = SpikeTimes.sort(spikes.times, spikes.units % 2, samples, like)
    shaped = fired._replace(
        spikes=alone, counts=fired.counts.view(-1, 2), last=fired.last.view(-1, 2)
    )
    return Readout(shaped, x)


RECIPE: Recipe[Any] = MultiSpikeAdvantages()
