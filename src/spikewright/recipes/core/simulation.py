"""Test images of a recipe through the SystemVerilog of its accelerator."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.recipes.core.radix_images import images_of
from spikewright.recipes.core.say import Say
from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.integer import IntegerNetwork
from spikewright.targets.fpga.memory import Whole
from spikewright.targets.fpga.program import Program
from spikewright.targets.fpga.verilator import available, build, simulate

MOST_CLOCKS = 10_000_000
"""Of one simulation, at most but for one image: it must end before it counts as hung."""


@dataclass(frozen=True)
class Simulation:
    """A program of so many clocks an image in Verilator, beside its network, on a test split."""

    program: Program
    cycles: int
    network: IntegerNetwork
    test: Any

    def run(self, wanted: int, say: Say) -> tuple[int, int, dict[str, float]]:
        """Images that it worked through, on how many of them it differs, and its speed."""
        if not wanted or not available():
            return 0, 0, {}
        say("building the simulator")
        build(self.program.dimensions)  # not part of the time
        count, wrong, seconds = min(wanted, len(self.test)), 0, 0.0
        part = max(1, MOST_CLOCKS // self.cycles)
        for first in range(0, count, part):
            last = min(first + part, count)
            say(f"test images through the SystemVerilog, {last} of {count}")
            x, _ = images_of(self.test, range(first, last))
            q = encode(self.network, x)
            begun = time.perf_counter()
            found = simulate(self.program, q.numpy())
            seconds += time.perf_counter() - begun
            wrong += int(differ(found.results, self.network.run(q).numpy()).sum())
        return count, wrong, {"images a second in Verilator": count / seconds}


def differ(found: Whole, wanted: Whole) -> NDArray[np.bool_]:
    """By image, whether any number is another."""
    return (found != wanted).reshape(len(wanted), -1).any(1)
