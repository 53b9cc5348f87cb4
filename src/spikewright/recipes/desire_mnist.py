"""MNIST by desire backpropagation: local updates by spike times, no derivative and no optimiser."""

from __future__ import annotations

from pydantic import Field

import spikewright as sw
from spikewright.recipes.core.desire import (
    MINUTES,
    MULTIPLIES,
    PAPER,
    UNIQUE,
    DesireRecipe,
    DesireSettings,
)
from spikewright.recipes.core.recipe import Figure


class DesireMNISTSettings(DesireSettings):
    """Data, network and training."""

    epochs: int = Field(40, ge=1)
    """passes over the training images"""


class DesireMNIST(DesireRecipe[DesireMNISTSettings]):
    """The recipe `desire-mnist`."""

    title = "Desire backpropagation: MNIST"
    Settings = DesireMNISTSettings
    data_set = sw.data.MNIST
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {"epochs": 150, "learning_rate": 1e-5, "fall": 25.0},
    }
    seeds = {"small": 1, "full": 3}  # noqa: RUF012 - a constant
    figures = (
        Figure(UNIQUE, 97.5, "target of this project", sizes=("small",)),
        Figure(UNIQUE, 98.4, f"{PAPER}: 98.41", sizes=("full",)),
        Figure(MULTIPLIES, 100.0, f"{PAPER}: fewer", "lower"),
        Figure(MINUTES, 30.0, "target of this project, on two cores", "lower", ("small",)),
    )


RECIPE = DesireMNIST()
