"""Fashion-MNIST by coincidences of stochastic bit streams."""

from __future__ import annotations

from typing import Any

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
)
from spikewright.recipes.core.trials import ACCURACY


class StochasticFashion(StochasticRecipe[StochasticSettings]):
    """The recipe `stochastic-fashion`."""

    title = "Stochastic backpropagation: Fashion-MNIST"
    Settings = StochasticSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": FULL,
    }
    seeds = {"small": 1, "full": 3}  # noqa: RUF012 - a constant
    figures = (
        Figure(GAP, 1.0, WANTED, "lower", sizes=("small",)),
        Figure(GAP, 0.5, WANTED, "lower", sizes=("full",)),
        Figure(ACCURACY, 84.0, "reported", sizes=("small",)),
        Figure(ACCURACY, 86.5, "an ANN of 87 to 88, from experience", sizes=("full",)),
        Figure(ANN, 85.0, "beside it"),
        Figure(EPOCH, 10.0, "target of this project, on two cores", "lower", sizes=("small",)),
    )

    def images(self, settings: StochasticSettings) -> Any:
        return sw.data.FashionMNIST


RECIPE = StochasticFashion()
