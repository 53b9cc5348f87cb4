"""The small CNN of Fang et al. on MNIST with weights of 4 bits and radix spikes of 4 steps.

Fang, Mei, Shrestha, Zhao, Li and Qiu, "Encoding, model, and architecture: systematic optimization
for spiking neural network in FPGAs", ICCAD 2020; bits as in E3NE, see `lenet_fpga`.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field
from torch import nn

import spikewright as sw
from spikewright.models.plain import fang_cnn
from spikewright.recipes.core.radix import DIFFER, DT, RADIX, RadixRecipe, RadixSettings
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.trials import ACCURACY


class FangCNNFPGASettings(RadixSettings):
    """Those of all networks for the FPGA."""

    epochs: int = Field(4, ge=1)
    """passes over the training images"""
    fine_epochs: int = Field(1, ge=0)
    """passes of fine-tuning over the training images; 0 to leave it out"""
    weight_bits: int = Field(4, ge=2, le=8)
    """bits of weights, with the sign"""
    units: int = Field(8, ge=1)
    """output channels of a convolution at once"""


class FangCNNFPGA(RadixRecipe[FangCNNFPGASettings]):
    """The recipe `fang-cnn-fpga`."""

    title = "The CNN of Fang et al. in radix spikes on an FPGA: MNIST"
    Settings = FangCNNFPGASettings
    sizes = {"small": {}, "full": {"epochs": 40, "fine_epochs": 10}}  # noqa: RUF012 - a constant
    seeds = {"small": 1, "full": 5}  # noqa: RUF012 - a constant
    figures = (
        Figure(ACCURACY, 98.5, "target of this project, as floating numbers"),
        Figure(RADIX, 98.2, "target of this project"),
        Figure(DIFFER, 0.0, "bit for bit", "lower"),
    )

    def data(self, settings: FangCNNFPGASettings) -> Any:
        code = sw.coding.Constant(1, DT)
        return sw.data.MNIST(
            code, validation=settings.validation, limit=settings.images, flatten=False
        )

    def module(self, settings: FangCNNFPGASettings) -> nn.Module:
        return fang_cnn()


RECIPE = FangCNNFPGA()
