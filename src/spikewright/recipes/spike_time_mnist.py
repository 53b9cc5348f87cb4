"""MNIST by exact backpropagation through many spikes a neuron: dense and convolutional networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

import spikewright as sw
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.spike_time import SpikeTimeRecipe, SpikeTimeSettings
from spikewright.recipes.core.trials import accuracy, minutes, train_each

PAPER = "Bacho and Chu, from memory"
DENSE, ONCE = "dense: test accuracy, %", "dense, one spike a neuron: test accuracy, %"
CONV = "convolutional: test accuracy, %"
MINUTES = "dense: training time, min"


class SpikeTimeMNISTSettings(SpikeTimeSettings):
    """Data, network and training."""

    epochs: int = Field(10, ge=1)
    """passes over the training images"""
    batch_size: int = Field(50, ge=1)
    """images a step"""
    hidden: int = Field(400, ge=1)
    """hidden neurons of the dense network"""
    network: Literal["dense", "convolutional"] = "dense"
    """784-hidden-10, or 15C5-P2-40C5-P2-300-10"""
    conv_images: int | None = Field(5000, ge=1)
    """images of each split that the convolutional network is compared on; all if not set"""
    conv_epochs: int = Field(3, ge=1)
    """its passes over them"""


class SpikeTimeMNIST(SpikeTimeRecipe[SpikeTimeMNISTSettings]):
    """The recipe `spike-time-mnist`."""

    title = "Spike-time backpropagation: MNIST"
    Settings = SpikeTimeMNISTSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {"epochs": 100, "hidden": 800, "conv_images": None, "conv_epochs": 100},
    }
    seeds = {"small": 1, "full": 5}  # noqa: RUF012 - a constant
    figures = (
        Figure(DENSE, 97.5, "target of this project", sizes=("small",)),
        Figure(DENSE, 98.7, f"{PAPER}: 98.9", sizes=("full",)),
        Figure(ONCE, 97.6, f"{PAPER}: 97.8", sizes=("full",)),
        Figure(ONCE, 90.0, "reported", sizes=("small",)),
        Figure(CONV, 90.0, "reported; 5000 images", sizes=("small",)),
        Figure(CONV, 99.2, f"{PAPER}: 99.4", sizes=("full",)),
        Figure(MINUTES, 30.0, "reported", "lower", sizes=("small",)),
    )

    def data(self, settings: SpikeTimeMNISTSettings) -> Any:
        return sw.data.MNIST(
            self.encoder(settings),
            validation=settings.validation,
            limit=settings.images,
            flatten=settings.network == "dense",
        )

    def layers(self, settings: SpikeTimeMNISTSettings) -> Sequence[tuple[list[Any], float, int]]:
        if settings.network == "dense":
            first = 0.7 if settings.loss == "first spike" else 0.2
            last = 2.0 if settings.loss == "first spike" else 1.3
            return (
                ([sw.Linear(784, settings.hidden, bias=False)], first, 30),
                ([sw.Linear(settings.hidden, 10, bias=False)], last, 30),
            )
        return (
            ([sw.Conv2d(1, 15, 5, bias=False)], 0.04, 1),
            ([sw.SumPool2d(2), sw.Conv2d(15, 40, 5, bias=False)], 0.8, 3),
            ([sw.SumPool2d(2), sw.Flatten(), sw.Linear(640, 300, bias=False)], 0.6, 10),
            ([sw.Linear(300, 10, bias=False)], 0.3, 30),
        )

    def measure(
        self,
        settings: SpikeTimeMNISTSettings,
        folder: Path,
        *,
        resume: bool | str,
        progress: bool,
    ) -> dict[str, float]:
        conv: dict[str, Any] = {"network": "convolutional", "correct": 30.0, "batch_size": 20}
        conv |= {"images": settings.conv_images, "epochs": settings.conv_epochs}
        conv |= {"validation": min(settings.validation, 1000)}
        once: dict[str, Any] = {"loss": "first spike", "learning_rate": 2e-3, "window": 1.0}
        changes: dict[str, dict[str, Any]] = {"dense": {}, "once": once, "convolutional": conv}
        done = train_each(self, settings, folder, changes, resume=resume, progress=progress)
        values = dict(zip((DENSE, ONCE, CONV), map(accuracy, done.values()), strict=True))
        return values | {MINUTES: minutes(done["dense"])}


RECIPE = SpikeTimeMNIST()
