"""What recipes for the FPGA on CIFAR-10 share: a trial on the images at hand, training on a GPU.

Small: the whole network, a few passes over 2700 images, then compiled, run on a few images bit for
bit, in SystemVerilog as well, and costed. Full: all of CIFAR-10, as long as E3NE trains.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

import spikewright as sw
from spikewright.coding import Constant
from spikewright.data.augment import Flip, PadAndCrop
from spikewright.recipes.core.radix import DIFFER, DROP, DT, RadixRecipe, RadixSettings
from spikewright.recipes.core.recipe import Figure

FULL = {
    "part": "all",
    "validation": 5000,
    "epochs": 200,
    "batch_size": 128,
    "fine_epochs": 20,
    "rates": (8, 16, 24, 32, 48),
}


class RadixCIFARSettings(RadixSettings):
    """Data, training, numbers, and what is built."""

    part: Literal["all", "first-4000"] = "first-4000"
    """all of CIFAR-10, or its first 4000 training images, 3000 for training and 1000 for tests"""
    validation: int = Field(300, ge=1)
    """training images held out to choose the best epoch"""
    epochs: int = Field(6, ge=1)
    """passes over the training images"""
    batch_size: int = Field(50, ge=1)
    """images a step"""
    padding: NonNegativeInt = 4
    """zeros around an image that a random window of its size is cut from while training"""
    flip: bool = True
    """whether training images are mirrored at random"""
    learning_rate: float = Field(1e-3, gt=0)
    """of Adam, at the start; falls to zero along a cosine"""
    weight_bits: int = Field(6, ge=2, le=8)
    """bits of weights, with the sign"""
    bits: int = Field(6, ge=1, le=8)
    """T: bits of activations, and steps that they take"""
    margin_bits: int = Field(10, ge=0)
    """biases fit into the bits of weights and activations and so many more"""
    calibrated: int = Field(500, ge=1)
    """training images that ranges are chosen on"""
    fine_epochs: int = Field(0, ge=0)
    """passes of fine-tuning over the training images; 0 to leave it out"""
    fine_learning_rate: float = Field(1e-4, gt=0)
    """of its Adam; weights behind batch norms are small"""
    rates: tuple[PositiveInt, ...] = (16,)
    """steps of the rate code that radix is compared with"""
    units: int = Field(16, ge=1)
    """output channels of a convolution at once"""
    linear: int = Field(16, ge=1)
    """outputs of a linear layer at once"""
    checked: int = Field(4, ge=1)
    """test images that spikes and accelerator work through too"""
    simulated: int = Field(4, ge=0)
    """test images that the SystemVerilog works through too, where Verilator is installed"""


class RadixCIFARRecipe(RadixRecipe[RadixCIFARSettings]):
    """A network for 3 x 32 x 32 pixels; give `module`."""

    Settings = RadixCIFARSettings
    sizes = {"small": {}, "full": FULL}  # noqa: RUF012 - a constant
    seeds = {"small": 1, "full": 1}  # noqa: RUF012 - a constant
    figures = (
        Figure(DIFFER, 0.0, "bit for bit", "lower"),
        Figure(DROP, 1.5, "target of this project", "lower", sizes=("full",)),
    )

    def data(self, settings: RadixCIFARSettings) -> Any:
        kind = sw.data.CIFAR10 if settings.part == "all" else sw.data.CIFAR10First4000
        crops = (PadAndCrop(settings.padding),) if settings.padding else ()
        return kind(
            Constant(1, DT),
            validation=settings.validation,
            limit=settings.images,
            augment=(*crops, *((Flip(),) if settings.flip else ())),
        )
