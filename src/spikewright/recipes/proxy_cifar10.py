"""CIFAR-10 by proxy learning: a deeper convolutional network, made for a GPU.

Kheradpisheh, Mirsadeghi and Masquelier, IEEE Access 10 (2022). Their exact layers are not known;
these are a start of the same size. The small size is a trial on the first 4000 training images.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, NonNegativeInt

import spikewright as sw
from spikewright.coding import Constant
from spikewright.data.augment import Flip, PadAndCrop
from spikewright.recipes.core.proxy import DT, POOL, ProxyRecipe, ProxySettings
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.trials import ACCURACY

PAPER = "Kheradpisheh et al. 2022"


class ProxyCIFAR10Settings(ProxySettings):
    """Data, network and training."""

    part: Literal["all", "first-4000"] = "first-4000"
    """all of CIFAR-10, or its first 4000 training images, 3000 for training and 1000 for tests"""
    validation: int = Field(300, ge=1)
    """training images held out to choose the best epoch"""
    epochs: int = Field(10, ge=1)
    """passes over the training images"""
    batch_size: int = Field(50, ge=1)
    """images a step"""
    channels: tuple[NonNegativeInt, ...] = (32, POOL, 64, POOL)
    """of the convolutions with 3 x 3 pixels; 0 is max-pooling of 2 x 2"""
    norm: bool = True
    """batch norm behind each convolution, instead of a bias"""
    substituted: Literal["output", "layers"] = "output"
    """what spikes replace in the twin: its output, as published, or every layer of neurons"""
    learning_rate: float = Field(1e-4, gt=0)
    """of Adam, at the start, as published; 1e-3 silences the output within an epoch"""
    padding: int = Field(4, ge=0)
    """zeros around an image that a random window of its size is cut from while training"""
    flip: bool = True
    """whether training images are mirrored at random"""
    compare: bool = False
    """whether to train the other two as well"""


class ProxyCIFAR10(ProxyRecipe[ProxyCIFAR10Settings]):
    """The recipe `proxy-cifar10`."""

    title = "Proxy learning: CIFAR-10"
    Settings = ProxyCIFAR10Settings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {
            "part": "all",
            "validation": 5000,
            "channels": (256, 256, 256, POOL, 512, 512, 512, POOL, 1024, 1024, POOL),
            "dense": (1024,),
            "bias": False,
            "dropout": 0.2,
            "rate": None,
            "steps": 60,
            "epochs": 200,
            "batch_size": 100,
            "weight_decay": 1e-6,
            "lengths": (8, 15, 30, 60, 120),
        },
    }
    seeds = {"small": 1, "full": 1}  # noqa: RUF012 - a constant
    figures = (
        Figure(ACCURACY, 35.0, "target of this project, 2700 images", sizes=("small",)),
        Figure(ACCURACY, 93.11, PAPER, sizes=("full",)),
    )
    shape = (3, 32, 32)

    def training_images(self, settings: ProxyCIFAR10Settings) -> int:
        return 50_000 if settings.part == "all" else 3000

    def data(self, settings: ProxyCIFAR10Settings) -> Any:
        kind = sw.data.CIFAR10 if settings.part == "all" else sw.data.CIFAR10First4000
        crops = (PadAndCrop(settings.padding),) if settings.padding else ()
        return kind(
            Constant(settings.steps, DT),
            validation=settings.validation,
            limit=settings.images,
            augment=(*crops, *((Flip(),) if settings.flip else ())),
        )


RECIPE = ProxyCIFAR10()
