"""LeNet-5 on Fashion-MNIST with weights of 4 bits and radix spikes of 4 steps, as an accelerator.

After E3NE, arXiv 2111.10027, see `lenet_fpga`; clothing is harder than digits, so a bit more.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveInt
from torch import nn

import spikewright as sw
from spikewright.models.plain import lenet5
from spikewright.recipes.core.radix import DIFFER, DROP, DT, RADIX, RadixRecipe, RadixSettings
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.trials import ACCURACY


class FashionFPGASettings(RadixSettings):
    """Those of all networks for the FPGA."""

    epochs: int = Field(8, ge=1)
    """passes over the training images"""
    stepped: tuple[PositiveInt, ...] = (2, 4, 8, 12, 16, 20, 24, 32, 48, 64)
    """steps of the IF neurons, run step by step, that radix is compared with"""
    weight_bits: int = Field(4, ge=2, le=8)
    """bits of weights, with the sign"""


class FashionFPGA(RadixRecipe[FashionFPGASettings]):
    """The recipe `fashion-fpga`."""

    title = "LeNet-5 in radix spikes on an FPGA: Fashion-MNIST"
    Settings = FashionFPGASettings
    sizes = {"small": {}, "full": {"epochs": 40, "fine_epochs": 10}}  # noqa: RUF012 - a constant
    seeds = {"small": 1, "full": 5}  # noqa: RUF012 - a constant
    figures = (
        Figure(ACCURACY, 89.0, "target of this project, as floating numbers"),
        Figure(RADIX, 88.0, "target of this project"),
        Figure(DROP, 1.5, "target of this project", "lower"),
        Figure(DIFFER, 0.0, "bit for bit", "lower"),
    )

    def data(self, settings: FashionFPGASettings) -> Any:
        code = sw.coding.Constant(1, DT)
        return sw.data.FashionMNIST(
            code, validation=settings.validation, limit=settings.images, flatten=False
        )

    def module(self, settings: FashionFPGASettings) -> nn.Module:
        return lenet5()


RECIPE = FashionFPGA()
