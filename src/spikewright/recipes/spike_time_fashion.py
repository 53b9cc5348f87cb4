"""Fashion-MNIST by exact backpropagation through many spikes a neuron, 784-400-400-10."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import Field

import spikewright as sw
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.spike_time import SpikeTimeRecipe, SpikeTimeSettings
from spikewright.recipes.core.trials import accuracy, train_each

PAPER = "Bacho and Chu, from memory"
COUNT, ONCE = "many spikes: test accuracy, %", "one spike a neuron: test accuracy, %"


class SpikeTimeFashionSettings(SpikeTimeSettings):
    """Data, network and training."""

    epochs: int = Field(8, ge=1)
    """passes over the training images"""
    batch_size: int = Field(50, ge=1)
    """images a step"""
    hidden: int = Field(200, ge=1)
    """neurons of each hidden layer"""
    learning_rate: float = Field(2e-3, gt=0)
    """of Adam, at the start; falls to zero along a cosine"""


class SpikeTimeFashion(SpikeTimeRecipe[SpikeTimeFashionSettings]):
    """The recipe `spike-time-fashion`."""

    title = "Spike-time backpropagation: Fashion-MNIST"
    Settings = SpikeTimeFashionSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {"epochs": 100, "hidden": 400, "batch_size": 5, "learning_rate": 5e-4},
    }
    seeds = {"small": 1, "full": 5}  # noqa: RUF012 - a constant
    figures = (
        Figure(COUNT, 85.0, "target of this project", sizes=("small",)),
        Figure(COUNT, 89.8, f"{PAPER}: 90.2", sizes=("full",)),
        Figure(ONCE, 80.0, "reported", sizes=("small",)),
        Figure(ONCE, 88.0, f"{PAPER}: 88.3", sizes=("full",)),
    )

    def data(self, settings: SpikeTimeFashionSettings) -> Any:
        code = self.encoder(settings)
        return sw.data.FashionMNIST(code, validation=settings.validation, limit=settings.images)

    def layers(self, settings: SpikeTimeFashionSettings) -> Sequence[tuple[list[Any], float, int]]:
        sizes, thresholds = (784, settings.hidden, settings.hidden, 10), (0.13, 0.45, 0.7)
        wires = [[sw.Linear(i, o, bias=False)] for i, o in pairwise(sizes)]
        return list(zip(wires, thresholds, (5, 5, 20), strict=True))

    def measure(
        self,
        settings: SpikeTimeFashionSettings,
        folder: Path,
        *,
        resume: bool | str,
        progress: bool,
    ) -> dict[str, float]:
        once: dict[str, Any] = {"loss": "first spike", "window": 1.0}
        changes: dict[str, dict[str, Any]] = {"many": {}, "once": once}
        done = train_each(self, settings, folder, changes, resume=resume, progress=progress)
        return dict(zip((COUNT, ONCE), map(accuracy, done.values()), strict=True))


RECIPE = SpikeTimeFashion()
