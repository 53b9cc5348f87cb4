"""Fashion-MNIST by desire backpropagation, with fewer neurons in the second hidden layer."""

from __future__ import annotations

from pydantic import Field, PositiveInt

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


class DesireFashionSettings(DesireSettings):
    """Data, network and training."""

    epochs: int = Field(80, ge=1)
    """passes over the training images"""
    hidden: list[PositiveInt] = Field([1000, 300], min_length=1)
    """neurons of the hidden layers"""
    dropout: float = Field(0.1, ge=0, lt=1)
    """share of hidden neurons that an image goes without"""
    learning_rate: float = Field(1e-5, gt=0)
    """of one image, at the start"""
    fall: float = Field(20.0, gt=0)
    """epochs in which the learning rate falls by a factor of e"""


class DesireFashion(DesireRecipe[DesireFashionSettings]):
    """The recipe `desire-fashion`."""

    title = "Desire backpropagation: Fashion-MNIST"
    Settings = DesireFashionSettings
    data_set = sw.data.FashionMNIST
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {
            "epochs": 600,
            "hidden": [1000, 100],
            "dropout": 0.4,
            "input_dropout": 0.05,
            "fall": 25.0,
        },
    }
    seeds = {"small": 1, "full": 3}  # noqa: RUF012 - a constant
    figures = (
        Figure(UNIQUE, 86.0, "target of this project", sizes=("small",)),
        Figure(UNIQUE, 87.5, f"{PAPER}: 87.56", sizes=("full",)),
        Figure(MULTIPLIES, 100.0, f"{PAPER}: fewer", "lower"),
        Figure(MINUTES, 30.0, "target of this project, on two cores", "lower", ("small",)),
    )


RECIPE = DesireFashion()
