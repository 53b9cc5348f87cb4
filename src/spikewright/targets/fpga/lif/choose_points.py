"""The pass that puts a network on binary points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from spikewright.compiler.design import Design, Slot
from spikewright.targets.fpga.lif.clocks import busy_clocks, most_clocks
from spikewright.targets.fpga.lif.fix import fix_program
from spikewright.targets.fpga.lif.lanes import Lanes
from spikewright.targets.fpga.lif.layers import faults
from spikewright.targets.fpga.lif.network import FixedNetwork
from spikewright.targets.fpga.lif.put_formats import put_formats
from spikewright.targets.fpga.lif.settings import FixedPoint
from spikewright.units import format_seconds

NETWORK, SPIKES = "network", "spikes"
"""What the pass leaves in ``design.extra``: the network in whole numbers, if it could be made; and
the most spikes on a line in a step of the sample, infinite where some number is no count."""


@dataclass(frozen=True, eq=False)
class ChoosePoints:
    """Choose formats by the calibration sample, and say how long it takes.

    Args:
        calibration: (time, batch, lines).
        clock: Hz.
    """

    calibration: Tensor
    numbers: FixedPoint
    lanes: Lanes
    clock: float

    @property
    def name(self) -> str:
        return "choose_points"

    def apply(self, design: Design) -> Design:
        """Set formats and one slot; nothing where the core cannot run the network.

        Raises:
            CompileError: no format would do for a layer.
            ParameterError: lanes for another number of layers.
        """
        most = _most(self.calibration)
        extra: dict[str, Any] = {**design.extra, SPIKES: most}
        if faults(design.program) or most > self.numbers.spikes:
            return design.noting(extra=extra)
        network = fix_program(design.program, self.numbers, self.calibration)
        x = self.calibration.cpu().numpy()
        clocks = float(busy_clocks(network, x, self.lanes).max(0).mean())
        nodes = tuple(node.name for node in design.program.nodes)
        slot = Slot(0, nodes, ("input",), clocks / self.clock)
        notes = [f"fpga-lif: {name}: {text}" for name, text in network.report.items()]
        return design.noting(
            *notes,
            self._pace(network, clocks, design.program.dt),
            program=put_formats(design.program, network),
            slots=(slot,),
            extra={**extra, NETWORK: network},
        )

    def _pace(self, network: FixedNetwork, clocks: float, dt: float) -> str:
        """Whether the core keeps up with the network's own time."""
        most, there = most_clocks(network, self.lanes), self.clock * dt
        keeps = "keeps up with" if most <= there else "may fall behind"
        return (
            f"fpga-lif: {clocks:,.0f} clocks a sample of the calibration on average, at most "
            f"{most:,} a step, whatever comes; with {there:,.0f} clocks in a step of "
            f"{format_seconds(dt)} at {self.clock / 1e6:g} MHz, a clock that was asked for and "
            f"that no synthesis has shown, it {keeps} its input"
        )


def _most(x: Tensor) -> float:
    values = x.cpu().numpy()
    if not values.size or bool(((values < 0) | (values != np.floor(values))).any()):
        return math.inf
    return float(values.max())
