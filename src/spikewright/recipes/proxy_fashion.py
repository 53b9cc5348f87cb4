"""Fashion-MNIST by proxy learning: a convolutional network of IF neurons and its ReLU twin.

Kheradpisheh, Mirsadeghi and Masquelier, IEEE Access 10 (2022). Beside it the same network trained
by surrogate gradients, and a ReLU network of the same shape converted, at the same steps.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, NonNegativeInt, PositiveInt

import spikewright as sw
from spikewright.coding import Constant
from spikewright.data.augment import CropAndPad
from spikewright.recipes.core.proxy import (
    AHEAD_OF_CONVERSION,
    AHEAD_OF_SURROGATE,
    DT,
    POOL,
    ProxyRecipe,
    ProxySettings,
)
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.trials import ACCURACY

PAPER = "Kheradpisheh et al. 2022"


class ProxyFashionSettings(ProxySettings):
    """Data, network, training and comparison."""

    epochs: int = Field(12, ge=1)
    """passes over the training images"""
    channels: tuple[NonNegativeInt, ...] = (32, POOL, 64, POOL)
    """of the convolutions with 3 x 3 pixels; 0 is max-pooling of 2 x 2"""
    dense: tuple[PositiveInt, ...] = (256,)
    """neurons of the layers behind them, without the output"""
    learning_rate: float = Field(3e-3, gt=0)
    """of Adam, at the start"""
    crop: int = Field(0, ge=0)
    """pixels that a random window is smaller than the image, zeros in their place; published: 2"""


class ProxyFashion(ProxyRecipe[ProxyFashionSettings]):
    """The recipe `proxy-fashion`."""

    title = "Proxy learning: Fashion-MNIST"
    Settings = ProxyFashionSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {
            "channels": (128, 128, POOL, 128, POOL),
            "dense": (2560, 1152, 256),
            "bias": False,
            "substituted": "output",
            "norm": True,
            "v_threshold": 2.0,
            "reset": "to_value",
            "rate": None,
            "steps": 15,
            "loss": "counts",
            "target": 1.0,
            "saturating": False,
            "learning_rate": 1e-4,
            "schedule": "constant",
            "weight_decay": 1e-6,
            "epochs": 100,
            "crop": 2,
            "compare": False,
        },
    }
    seeds = {"small": 1, "full": 1}  # noqa: RUF012 - a constant
    figures = (
        Figure(ACCURACY, 90.0, "target of this project", sizes=("small",)),
        Figure(AHEAD_OF_CONVERSION, 3.0, "target of this project", sizes=("small",)),
        Figure(AHEAD_OF_SURROGATE, 0.0, f"{PAPER}: proxy is ahead", sizes=("small",)),
        Figure(ACCURACY, 94.56, PAPER, sizes=("full",)),
    )
    shape = (1, 28, 28)

    def training_images(self, settings: ProxyFashionSettings) -> int:
        return 60_000

    def data(self, settings: ProxyFashionSettings) -> Any:
        return sw.data.FashionMNIST(
            Constant(settings.steps, DT),
            validation=settings.validation,
            limit=settings.images,
            flatten=False,
            augment=(CropAndPad(settings.crop),) if settings.crop else (),
        )


RECIPE = ProxyFashion()
