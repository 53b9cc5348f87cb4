"""Fashion-MNIST as latencies, 784-200-200-10, trained by sparse spiking gradient descent."""

from __future__ import annotations

import math
from typing import Any

import torch
from pydantic import Field

import spikewright as sw
from spikewright.coding import LogLatency
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.sparse import (
    ACCURACY,
    DT,
    Published,
    SparseRecipe,
    SparseSettings,
    sweep_figures,
)


class SparseFashionSettings(SparseSettings):
    """Data, network, window and training."""

    epochs: int = Field(8, ge=1)
    """passes over the training samples"""
    samples: int | None = Field(5000, ge=1)
    """at most that many images of each split; all if not set"""
    learning_rate: float = Field(5e-3, gt=0)
    """of Adam"""


class SparseFashion(SparseRecipe[SparseFashionSettings]):
    """The recipe `sparse-fashion`."""

    title = "Sparse spiking gradient descent: Fashion-MNIST"
    Settings = SparseFashionSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {
            "samples": None,
            "epochs": 100,
            "learning_rate": 2e-4,
            "batch_size": 256,
            "sweep_epochs": 15,
        },
    }
    seeds = {"small": 3, "full": 3}  # noqa: RUF012 - a constant
    figures = (
        Figure(ACCURACY, 75.0, "target of this project, 5000 images", sizes=("small",)),
        Figure(ACCURACY, 82.8, "Perez-Nieves and Goodman, width 200", sizes=("full",)),
        *Published(active=(1.1, 0.9), sparse=5.1, dense=31.0).figures(),
        *sweep_figures(1e-4, 1e-3, 1e-2, 5e-2),
    )
    inputs = 784

    def data(self, settings: SparseFashionSettings) -> Any:
        return sw.data.FashionMNIST(
            LogLatency(settings.steps, DT, tau=20e-3),
            validation=settings.validation,
            limit=settings.samples,
        )

    def first_weights(self, weight: torch.Tensor, settings: SparseFashionSettings) -> None:
        weight.normal_(0.0, 20 * -math.expm1(-DT / settings.tau) / math.sqrt(weight.shape[1]))


RECIPE = SparseFashion()
