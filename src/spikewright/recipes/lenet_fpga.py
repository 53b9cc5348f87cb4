"""LeNet-5 on MNIST with weights of 3 bits and radix spikes of 4 steps, as an accelerator.

After Gerlinghoff, Wang, Gu, Goh and Luo, "E3NE: an end-to-end framework for accelerating spiking
neural networks with emerging neural encoding on FPGAs", IEEE TPDS 2021, arXiv 2111.10027.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveInt
from torch import nn

import spikewright as sw
from spikewright.models.plain import lenet5
from spikewright.recipes.core.radix import (
    DIFFER,
    DT,
    FEWEST,
    RADIX,
    TIMES,
    RadixRecipe,
    RadixSettings,
)
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.trials import ACCURACY

USUAL = (
    "target of this project, against the usual rate-coded network; where it has that accuracy in "
    "none of the steps, those of the longest"
)


class LeNetFPGASettings(RadixSettings):
    """Those of all networks for the FPGA."""

    epochs: int = Field(8, ge=1)
    """passes over the training images"""
    stepped: tuple[PositiveInt, ...] = (2, 4, 8, 12, 16, 20, 24, 32, 48, 64)
    """steps of the IF neurons, run step by step, that radix is compared with"""
    simulated: int = Field(1000, ge=0)
    """test images that the SystemVerilog works through too, where Verilator is installed"""


class LeNetFPGA(RadixRecipe[LeNetFPGASettings]):
    """The recipe `lenet-fpga`."""

    title = "LeNet-5 in radix spikes on an FPGA: MNIST"
    Settings = LeNetFPGASettings
    sizes = {"small": {}, "full": {"epochs": 40, "fine_epochs": 10}}  # noqa: RUF012 - a constant
    seeds = {"small": 1, "full": 5}  # noqa: RUF012 - a constant
    figures = (
        Figure(ACCURACY, 99.0, "target of this project, as floating numbers"),
        Figure(RADIX, 98.7, "target of this project"),
        Figure(TIMES, 4.0, "target of this project; 15 steps give the same numbers as 4 bits"),
        Figure(FEWEST, 4.0, USUAL),
        Figure(DIFFER, 0.0, "bit for bit", "lower"),
    )

    def data(self, settings: LeNetFPGASettings) -> Any:
        code = sw.coding.Constant(1, DT)
        return sw.data.MNIST(
            code, validation=settings.validation, limit=settings.images, flatten=False
        )

    def module(self, settings: LeNetFPGASettings) -> nn.Module:
        return lenet5()


RECIPE = LeNetFPGA()
