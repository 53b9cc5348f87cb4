"""Lattice ECP5: resources and clock after place and route, by Yosys and nextpnr."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from spikewright.errors import ParameterError
from spikewright.targets.fpga.synthesis.cells import read_report, read_statistics
from spikewright.targets.fpga.synthesis.flow import Job, top_of
from spikewright.targets.fpga.synthesis.tools import NEXTPNR_ECP5, YOSYS, Tool

_STREAMS = {"STREAM_KERNELS": "s_axis_kernel_*", "STREAM_WEIGHTS": "s_axis_weight_*"}
PACKAGES = {"25k": "CABGA381", "45k": "CABGA554", "85k": "CABGA756"}
"""Parts, each in its package with the most pins: 197, 245 and 365."""
HEADLINE = re.compile(
    r"Info: ((?:Packing|Promoting|Creating|Routing|Running|Setting up|Max frequency).*"
    r"|    at iteration .*)"
)


@dataclass(frozen=True)
class Ecp5:
    """``synth_ecp5``, then nextpnr.

    Args:
        part: "25k", "45k" or "85k", thousands of look-up tables.
        target: MHz that placement and routing aim for; falling short of it is no error.
        seed: of the placement; the clock found differs by some percent from one to another.
        speed: grade of the part, 6, 7 or 8.
        placements: with this seed and those after it; the clock is their median.

    Raises:
        ParameterError: a part or a grade that there is not; a target that is not above 0; no
            placement.
    """

    part: str = "85k"
    target: float = 100.0
    seed: int = 1
    speed: int = 6
    placements: int = 1

    def __post_init__(self) -> None:
        exists = self.part in PACKAGES and self.speed in (6, 7, 8)
        if not (exists and self.target > 0 and self.placements >= 1):
            raise ParameterError(
                f"fpga.Ecp5: part must be one of {', '.join(PACKAGES)}, speed 6, 7 or 8, target "
                f"above 0 MHz and placements from 1 on, got {self.part!r}, {self.speed}, "
                f"{self.target} and {self.placements}. Leave them as they are."
            )

    @property
    def name(self) -> str:
        """What files are called after: the part, and what is not as it is without asking.

        >>> Ecp5().name, Ecp5("25k", target=62.5, seed=2, speed=8, placements=3).name
        ('ecp5_85k', 'ecp5_25k_62.5mhz_seed2_speed8_3placements')
        """
        usual, target = Ecp5(), f"{self.target:g}mhz"  # as it is given to nextpnr
        words = [
            f"ecp5_{self.part}",
            target if target != f"{usual.target:g}mhz" else "",
            f"seed{self.seed}" if self.seed != usual.seed else "",
            f"speed{self.speed}" if self.speed != usual.speed else "",
            f"{self.placements}placements" if self.placements != usual.placements else "",
        ]
        return "_".join(filter(None, words))

    @property
    def device(self) -> str:
        """What for."""
        return f"LFE5U-{self.part[:-1]}F-{self.speed}{PACKAGES[self.part]}"

    @property
    def tools(self) -> tuple[Tool, ...]:
        """In the order in which they run."""
        return (YOSYS, NEXTPNR_ECP5)

    def run(self, job: Job) -> dict[str, Any]:
        """Fields of a `Synthesis`."""
        NEXTPNR_ECP5.path()  # before the minutes that the synthesis takes
        netlist = job.file("_netlist.json")
        try:
            script = [f"synth_ecp5 -top {job.top}", *without_idle_streams(job.design)]
            statistics = job.yosys([*script, f"write_json {netlist}"])
            cells = read_statistics(statistics)
            seeds = range(self.seed, self.seed + self.placements)
            placed = [self._place(job, netlist, seed) for seed in seeds]
        finally:
            (job.design / netlist).unlink(missing_ok=True)  # some tens of MB
        (used, available, _), clocks = placed[0], tuple(clock for *_, clock in placed)
        used["carry"] = cells.get("CCU2C", 0)
        return {
            "resources": used,
            "available": available,
            "fmax": median(clocks),
            "clocks": clocks,
            "cells": cells,
        }

    def _place(
        self, job: Job, netlist: Path, seed: int
    ) -> tuple[dict[str, float], dict[str, float], float]:
        """Resources used and available, and the clock, of one placement."""
        ending = f"_seed{seed}" if seed != self.seed else ""
        report = job.file(f"_report{ending}.json")
        command = self._place_and_route(str(netlist), str(report), seed)
        job.run(f"{NEXTPNR_ECP5.name}{ending}", command, HEADLINE)
        return read_report(job.design / report)

    def _place_and_route(self, netlist: str, report: str, seed: int) -> list[str]:
        return [
            NEXTPNR_ECP5.path(),
            f"--{self.part}",
            *("--package", PACKAGES[self.part]),
            *("--speed", str(self.speed)),
            *("--seed", str(seed)),
            *("--freq", f"{self.target:g}"),
            *("--json", netlist),
            *("--report", report),
            "--lpf-allow-unconstrained",
            "--timing-allow-fail",
        ]


def without_idle_streams(design: Path) -> list[str]:
    """Commands of Yosys that take away ports of streams that bring nothing: each bit is a pin."""
    top = top_of(design)
    if not top.endswith("accelerator"):
        return []
    prefix = top.removesuffix("accelerator")
    package = (design / "rtl" / f"{prefix}network_pkg.sv").read_text()
    return [
        f"delete -port {top}/w:{ports}"
        for name, ports in _STREAMS.items()
        if re.search(rf"\b{name} = 0;", package)
    ]
