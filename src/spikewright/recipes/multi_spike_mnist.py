"""MNIST by spike times without the single-spike restriction, and its best time constant.

Yamamoto, Sakemi and Aihara, "Timing-based backpropagation in spiking neural networks without
single-spike restrictions" (arXiv:2211.16113, 2022): pixels as latencies, a loss on the first
output spikes, and as many hidden spikes as come. Accuracy over the time constant is said to have
a maximum inside the range with many spikes and none with one. Sizes and settings are this
project's; the paper's text was not at hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

import spikewright as sw
from spikewright.coding import ExactLatency, SpikeTimes
from spikewright.learning.event_losses import FirstSpikeSoftmax
from spikewright.learning.silent import PushLabels, RaiseSilent
from spikewright.recipes.core.recipe import Figure, Recipe, RunSettings
from spikewright.recipes.core.run import Outcome
from spikewright.recipes.core.trials import (
    ACCURACY,
    accuracy,
    aim_potentials,
    minutes,
    train_each,
)

DT = 1e-3
LATEST, TRIAL = 20e-3, 40e-3
"""Time of the darkest pixel and length of a trial, s."""
INSIDE = "many spikes: best accuracy inside the sweep minus that at its ends, points"
MANY, ONCE = "many spikes", "one spike a neuron"
MINUTES = "training time, min"


class MultiSpikeMNISTSettings(RunSettings):
    """Data, neurons, training and sweep."""

    epochs: int = Field(10, ge=1)
    """passes over the training images"""
    batch_size: int = Field(50, ge=1)
    """images a step"""
    threads: int | None = Field(1, ge=1)
    """processor threads"""
    images: int | None = Field(None, ge=1)
    """at most that many images of each split; all if not set"""
    validation: int = Field(5000, ge=1)
    """training images held out to choose the best epoch"""
    hidden: int = Field(400, ge=1)
    """hidden neurons"""
    tau_syn: float = Field(10e-3, gt=0)
    """of the synapses, s; membranes have ``ratio`` times that"""
    ratio: float = Field(2.0, gt=0)
    """tau_mem over tau_syn"""
    max_spikes: int | None = Field(None, ge=1)
    """the most spikes of a neuron in a trial; any number if not set"""
    drive: tuple[float, float] = (3.0, 4.0)
    """height of the potential that the mean first weights give in each layer, in thresholds"""
    spread: tuple[float, float] = (2.0, 2.0)
    """standard deviation of the first weights of each layer, over their mean"""
    loss_tau: float = Field(0.5e-3, gt=0)
    """of the softmax of first spikes, s"""
    learning_rate: float = Field(5e-3, gt=0)
    """of Adam, at the start; falls to zero along a cosine"""
    sweep: tuple[float, ...] = (1e-3, 2e-3, 4e-3, 8e-3, 16e-3, 32e-3, 64e-3, 128e-3)
    """time constants of synapses to compare, s"""
    sweep_images: int | None = Field(5000, ge=1)
    """images of each split in that comparison; all if not set"""
    sweep_epochs: int = Field(4, ge=1)
    """passes over them"""


class MultiSpikeMNIST(Recipe[MultiSpikeMNISTSettings]):
    """The recipe `multi-spike-mnist`."""

    title = "Spike timing without the single-spike restriction: MNIST"
    Settings = MultiSpikeMNISTSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {"epochs": 50, "hidden": 800, "sweep_images": None, "sweep_epochs": 10},
    }
    seeds = {"small": 1, "full": 5}  # noqa: RUF012 - a constant
    figures = (
        Figure(ACCURACY, 97.5, "target of this project", sizes=("small",)),
        Figure(ACCURACY, 98.3, "level of a perceptron of that size, from memory", sizes=("full",)),
        Figure(INSIDE, 0.0, "the paper: a maximum inside the range"),
        Figure(MINUTES, 60.0, "reported", "lower", sizes=("small",)),
    )

    def data(self, settings: MultiSpikeMNISTSettings) -> Any:
        code = ExactLatency(round(TRIAL / DT), DT, 0.0, LATEST)
        return sw.data.MNIST(code, validation=settings.validation, limit=settings.images)

    def network(self, settings: MultiSpikeMNISTSettings) -> sw.Network:
        times: dict[str, Any] = {
            "tau_mem": settings.ratio * settings.tau_syn,
            "tau_syn": settings.tau_syn,
        }
        return sw.Sequential(
            sw.Linear(784, settings.hidden, bias=False),
            sw.CubaLIF(**times),
            sw.Linear(settings.hidden, 10, bias=False),
            sw.CubaLIF(**times),
            dt=DT,
        )

    def prepare(self, network: sw.Network, data: Any, settings: MultiSpikeMNISTSettings) -> None:
        spikes = self.first_batch(data, settings)
        assert isinstance(spikes, SpikeTimes)
        aim_potentials(network, spikes, settings.drive, settings.spread)

    def rule(self, settings: MultiSpikeMNISTSettings) -> sw.learning.SpikeTime:
        return sw.learning.SpikeTime(
            FirstSpikeSoftmax(tau=settings.loss_tau),
            max_spikes=settings.max_spikes,
            silent=(RaiseSilent(0.02), PushLabels(0.05)),
            learning_rate=settings.learning_rate,
            schedule="cosine",
        )

    def measure(
        self,
        settings: MultiSpikeMNISTSettings,
        folder: Path,
        *,
        resume: bool | str,
        progress: bool,
    ) -> dict[str, float]:
        how: dict[str, Any] = {"resume": resume, "progress": progress}
        done = train_each(self, settings, folder, {"trained": {}}, **how)["trained"]
        values = {ACCURACY: accuracy(done), MINUTES: minutes(done)}
        short: dict[str, Any] = {"images": settings.sweep_images, "epochs": settings.sweep_epochs}
        short |= {"validation": min(settings.validation, 1000)}
        for kind, most in ((MANY, None), (ONCE, 1)):
            changes = {
                f"{kind.replace(' ', '-')}-{tau:g}": {**short, "tau_syn": tau, "max_spikes": most}
                for tau in settings.sweep
            }
            swept = train_each(self, settings, folder, changes, **how)
            values |= _curve(kind, dict(zip(settings.sweep, swept.values(), strict=True)))
        return values


def _curve(kind: str, swept: dict[float, Outcome]) -> dict[str, float]:
    """Accuracy and hidden spikes over the time constant."""
    found = {tau: accuracy(outcome) for tau, outcome in swept.items()}
    values = {f"{kind}, tau_syn {1e3 * tau:g} ms: {ACCURACY}": v for tau, v in found.items()}
    for tau, outcome in swept.items():
        rate = float(outcome.test.metrics["rates"]["1_cubalif"])
        name = f"{kind}, tau_syn {1e3 * tau:g} ms: hidden spikes a neuron and image"
        values[name] = rate * round(TRIAL / DT)
    if len(found) > 2 and kind == MANY:
        first, *inside, last = found.values()
        values[INSIDE] = max(inside) - max(first, last)
    return values


RECIPE = MultiSpikeMNIST()
