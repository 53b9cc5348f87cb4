"""LeNet-5 on an FPGA in radix spikes and in a rate code, both through synthesis.

After E3NE, see `lenet_fpga`, which compares the codes in software. Needs Verilator, Yosys and
nextpnr for ECP5.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt
from torch import Tensor

from spikewright.recipes.core.designs import (
    CHEAPER,
    FASTER,
    LARGER_FASTER,
    LARGER_LUT,
    LESS_ENERGY,
    LESS_POWER,
    TABLE,
    Through,
    at,
    both_codes,
)
from spikewright.recipes.core.radix import TIMES
from spikewright.recipes.core.radix_images import accuracy_of, images_of, training_images
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.run import Parts, run, threads
from spikewright.recipes.core.say import aloud
from spikewright.recipes.lenet_fpga import LeNetFPGA, LeNetFPGASettings
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.synthesis.tools import NEXTPNR_ECP5, YOSYS

OURS = "target of this project"
BOUND = "target of this project; 3.75 is the most that T = 4 allows in clocks, 6.2 T = 5"
PAPER = "E3NE, arXiv 2111.10027, abstract: 20 % less, against another accelerator, measured"


class LeNetCodesSettings(LeNetFPGASettings):
    """Those of `lenet-fpga`, and what goes through the tools."""

    rates: tuple[PositiveInt, ...] = (2, 4, 6, 8, 10, 12, 14, 15, 16, 20, 24, 28, 31)
    """steps of the rate code that radix is compared with"""
    steps: tuple[PositiveInt, ...] = (4, 5)
    """T of the networks that accelerators are made of"""
    placements: int = Field(3, ge=1)
    """seeds of place and route; the median clock counts"""
    part: Literal["25k", "45k", "85k"] = "85k"
    """ECP5 that is placed on, by thousands of look-up tables"""
    larger_units: int = Field(3, ge=1)
    """output channels at once of a radix accelerator about as large as the rate-coded one"""
    larger_linear: int = Field(32, ge=1)
    """outputs of a linear layer at once of that one"""
    counted: int = Field(10, ge=1)
    """test images that the energy is modelled on"""


class LeNetCodesFPGA(LeNetFPGA):
    """The recipe `lenet-codes-fpga`."""

    title = "LeNet-5 on an FPGA: radix beside rate, through the tools"
    Settings = LeNetCodesSettings
    figures = (
        Figure(at(4, CHEAPER), 0.5, OURS, "lower"),
        Figure(at(4, FASTER), 5.0, BOUND),
        Figure(at(4, LARGER_FASTER), 5.0, OURS),
        Figure(at(4, LARGER_LUT), 1.0, "no more than the rate-coded accelerator", "lower"),
        Figure(at(4, LESS_ENERGY), 0.8, PAPER, "lower"),
        Figure(at(4, LESS_POWER), 0.8, PAPER, "lower"),
        Figure(at(5, CHEAPER), 0.5, OURS, "lower"),
        Figure(at(5, FASTER), 5.0, BOUND),
    )
    tables = (TABLE,)

    def measure(
        self, settings: LeNetFPGASettings, folder: Path, *, resume: bool | str, progress: bool
    ) -> dict[str, float]:
        chosen: Any = settings
        for tool in (YOSYS, NEXTPNR_ECP5):
            tool.path()  # before the training
        outcome = run(self, settings, folder, resume=resume, progress=progress)
        with threads(settings.threads):
            images = training_images(outcome.parts.data, settings.seed)
            how = Through(
                Hardware(units=chosen.units, linear=chosen.linear),
                Hardware(units=chosen.larger_units, linear=chosen.larger_linear),
                chosen.part,
                chosen.placements,
                folder / "designs",
                aloud if progress else None,
            )
            found = [self._at(steps, outcome.parts, images, how) for steps in chosen.steps]
        return outcome.metrics() | {name: value for one in found for name, value in one.items()}

    def _at(
        self, steps: int, parts: Parts, images: tuple[Tensor, Tensor], how: Through
    ) -> dict[str, float]:
        """Accuracy at T steps, by how much a rate code is longer, and all accelerators."""
        settings: Any = parts.settings
        test: Any = parts.data.test
        network = self.in_whole_numbers(
            parts, images, settings.model_copy(update={"bits": steps})
        ).network
        accuracy = accuracy_of(network, test)
        rate = self.by_rate(network, test, settings, accuracy)
        x, _ = images_of(test, range(min(settings.counted, len(test))))
        return {
            at(steps, "test accuracy, %"): accuracy,
            at(steps, TIMES): rate[TIMES],
            **both_codes(network, encode(network, x).numpy(), how),
        }


RECIPE = LeNetCodesFPGA()
