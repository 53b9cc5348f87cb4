"""Xilinx 7-series: resources by Yosys. Nothing is placed, so there is no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikewright.targets.fpga.synthesis.cells import counted, read_statistics
from spikewright.targets.fpga.synthesis.flow import Job
from spikewright.targets.fpga.synthesis.tools import YOSYS, Tool


@dataclass(frozen=True)
class Xilinx:
    """``synth_xilinx`` for the 7-series, whose cells are alike from Artix to Zynq.

    Pins get no buffers: in a larger design its ports are wires.
    """

    @property
    def name(self) -> str:
        """What files are called after."""
        return "xilinx"

    @property
    def device(self) -> str:
        """What for."""
        return "7-series"

    @property
    def tools(self) -> tuple[Tool, ...]:
        """In the order in which they run."""
        return (YOSYS,)

    def run(self, job: Job) -> dict[str, Any]:
        """Fields of a `Synthesis`."""
        cells = read_statistics(
            job.yosys([f"synth_xilinx -family xc7 -noiopad -flatten -top {job.top}"])
        )
        return {"resources": counted(cells), "cells": cells}
