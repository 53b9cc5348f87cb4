"""N-MNIST (the small set), 1156-200-200-10, trained by sparse spiking gradient descent.

With the first weights of the paper the second layer is all but silent, and with a window of 0.2
the network hardly starts: hence a wide window for the first steps. 100 test recordings make a
point of accuracy one recording.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from pydantic import Field

import spikewright as sw
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.sparse import (
    ACCURACY,
    DT,
    Published,
    SparseRecipe,
    SparseSettings,
    sweep_figures,
)


class SparseNMNISTSettings(SparseSettings):
    """Data, network, window and training."""

    epochs: int = Field(15, ge=1)
    """passes over the training samples"""
    batch_size: int = Field(50, ge=1)
    """samples a step"""
    validation: int = Field(100, ge=1)
    """training samples held out to choose the best epoch"""
    steps: int = Field(300, ge=1)
    """time steps of 1 ms"""
    first_window: float | None = Field(1.0, gt=0)
    """half-width in the first training steps; the same if not set"""
    first_steps: int = Field(72, ge=1)
    """training steps before the window is the narrow one"""
    learning_rate: float = Field(2e-3, gt=0)
    """of Adam"""
    sweep: tuple[float, ...] = (1e-4, 1e-2)
    """windows to compare with ``window``"""
    sweep_epochs: int = Field(7, ge=1)
    """passes over the training samples in that comparison"""


class SparseNMNIST(SparseRecipe[SparseNMNISTSettings]):
    """The recipe `sparse-nmnist`."""

    title = "Sparse spiking gradient descent: N-MNIST, small set"
    Settings = SparseNMNISTSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {"epochs": 100, "sweep": (1e-4, 1e-3, 1e-2, 5e-2), "sweep_epochs": 15},
    }
    seeds = {"small": 3, "full": 5}  # noqa: RUF012 - a constant
    figures = (
        Figure(ACCURACY, 60.0, "target of this project, 900 recordings", sizes=("small",)),
        Figure(ACCURACY, 91.5, "Perez-Nieves and Goodman, 60000 recordings", sizes=("full",)),
        *Published(active=(1.1, 0.8), sparse=6.8, dense=236.0).figures(),
        *sweep_figures(1e-4, 1e-2),
        *sweep_figures(1e-3, 5e-2, sizes=("full",)),
    )
    inputs = 1156

    def data(self, settings: SparseNMNISTSettings) -> Any:
        return sw.data.NMNIST(
            DT,
            settings.steps,
            maximum=1,
            polarity=False,
            validation=settings.validation,
            limit=settings.samples,
        )

    def first_weights(self, weight: torch.Tensor, settings: SparseNMNISTSettings) -> None:
        bound = 1 / math.sqrt(weight.shape[1])
        weight.uniform_(-bound, bound)


RECIPE = SparseNMNIST()
