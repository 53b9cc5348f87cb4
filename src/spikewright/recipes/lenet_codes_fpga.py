"""LeNet-5 on an FPGA in radix spikes and in a rate code, both through synthesis.

After E3NE, see `lenet_fpga`, which compares the codes in software. Needs Verilator, Yosys and
nextpnr for ECP5.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt

from spikewright.recipes.core.designs import TABLE, Compared, Through, both_codes
from spikewright.recipes.core.radix import TIMES
from spikewright.recipes.core.radix_images import accuracy_of, images_of
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.run import Outcome, run, threads
from spikewright.recipes.lenet_fpga import LeNetFPGA, LeNetFPGASettings
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.synthesis.tools import NEXTPNR_ECP5, YOSYS

OURS = "target of this project"
BOUND = "target of this project; 3.75 is the most that T = 4 allows in clocks, 6.2 T = 5"
PAPER = "E3NE, arXiv 2111.10027, abstract: 20 % less, against another accelerator, measured"
FOUR, FIVE = Compared(4), Compared(5)


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
    """output channels at once of a radix accelerator that takes no more than the rate-coded one"""
    larger_linear: int = Field(32, ge=1)
    """outputs of a linear layer at once of that one"""
    counted: int = Field(10, ge=1)
    """test images that the energy is modelled on"""


class LeNetCodesFPGA(LeNetFPGA):
    """The recipe `lenet-codes-fpga`."""

    title = "LeNet-5 on an FPGA: radix beside rate, through the tools"
    Settings = LeNetCodesSettings
    figures = (
        Figure(FOUR.lut_seconds, 0.5, OURS, "lower"),
        Figure(FOUR.latency, 5.0, BOUND),
        Figure(FOUR.larger_latency, 5.0, OURS),
        Figure(FOUR.larger_lut, 1.0, "no more than the rate-coded accelerator", "lower"),
        Figure(FOUR.energy, 0.8, PAPER, "lower"),
        Figure(FOUR.power, 0.8, PAPER, "lower"),
        Figure(FIVE.lut_seconds, 0.5, OURS, "lower"),
        Figure(FIVE.latency, 5.0, BOUND),
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
            found = [self._at(steps, outcome, folder, progress) for steps in chosen.steps]
        return outcome.metrics() | {name: value for one in found for name, value in one.items()}

    def _at(self, steps: int, outcome: Outcome, folder: Path, progress: bool) -> dict[str, float]:
        """Accuracy at T steps, by how much a rate code is longer, and both accelerators."""
        settings: Any = outcome.parts.settings
        data: Any = outcome.parts.data
        network = self.quantised(settings.model_copy(update={"bits": steps}), folder)[0].network
        accuracy = accuracy_of(network, data.test)
        rate = self.by_rate(network, data.test, settings, accuracy)
        x, _ = images_of(data.test, range(min(settings.counted, len(data.test))))
        how = Through(
            Hardware(units=settings.units, linear=settings.linear),
            Hardware(units=settings.larger_units, linear=settings.larger_linear),
            settings.part,
            settings.placements,
            folder / "designs",
            _say if progress else None,
        )
        return {
            f"T = {steps}: test accuracy, %": accuracy,
            f"T = {steps}: {TIMES}": rate[TIMES],
            **both_codes(network, encode(network, x).numpy(), how),
        }


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


RECIPE = LeNetCodesFPGA()
