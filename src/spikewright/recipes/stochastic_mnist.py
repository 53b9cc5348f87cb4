"""MNIST, and EMNIST where it is at hand, by coincidences of stochastic bit streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import spikewright as sw
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.stochastic import (
    ANN,
    EPOCH,
    FULL,
    GAP,
    WANTED,
    StochasticRecipe,
    StochasticSettings,
    compare,
)
from spikewright.recipes.core.trials import ACCURACY, train_each


class StochasticMNISTSettings(StochasticSettings):
    """Data, network and training."""

    letters: bool = False
    """whether to train on EMNIST (balanced) too"""
    digits: Literal["mnist", "emnist"] = "mnist"
    """the data of a single run"""


class StochasticMNIST(StochasticRecipe[StochasticMNISTSettings]):
    """The recipe `stochastic-mnist`."""

    title = "Stochastic backpropagation: MNIST"
    Settings = StochasticMNISTSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {**FULL, "letters": True},
    }
    seeds = {"small": 1, "full": 3}  # noqa: RUF012 - a constant
    figures = (
        Figure(GAP, 1.0, WANTED, "lower", sizes=("small",)),
        Figure(GAP, 0.5, WANTED, "lower", sizes=("full",)),
        Figure(ACCURACY, 96.4, "ANN of 97.4 less a point", sizes=("small",)),
        Figure(ACCURACY, 97.5, "an ANN of about 98, from experience", sizes=("full",)),
        Figure(ANN, 97.0, "beside it"),
        Figure(EPOCH, 10.0, "target of this project, on two cores", "lower", sizes=("small",)),
        Figure(f"EMNIST: {GAP}", 0.5, WANTED, "lower", sizes=("full",)),
    )

    def images(self, settings: StochasticMNISTSettings) -> Any:
        return sw.data.MNIST if settings.digits == "mnist" else sw.data.EMNIST

    def measure(
        self,
        settings: StochasticMNISTSettings,
        folder: Path,
        *,
        resume: bool | str,
        progress: bool,
    ) -> dict[str, float]:
        how: dict[str, Any] = {"resume": resume, "progress": progress}
        values = super().measure(settings, folder, **how)
        if settings.letters:
            changes = {"streams": {"digits": "emnist"}}
            changes |= {"ann": {"digits": "emnist", "trained_on": "means"}}
            pair = train_each(self, settings, folder / "emnist", changes, **how)
            values |= {f"EMNIST: {name}": value for name, value in compare(pair).items()}
        return values


RECIPE = StochasticMNIST()
