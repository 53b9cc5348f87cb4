"""How many clock cycles a step takes, and what power that may mean: estimates, never measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from spikewright.compiler.reporting.energy import EnergyTable
from spikewright.targets.xylo.configuration import Configuration
from spikewright.targets.xylo.twin.twin import Twin
from spikewright.units import format_si

SOURCE = "the cycle model of Rockpool for this family, read; not measured on a chip"
MARGIN = 1.2
"""Of the clock over what the cycles need."""
XYLO_ENERGY = EnergyTable(
    name="Xylo, an estimate: the power of one published network",
    source="Bos and Muir, 'Micro-power spoken keyword spotting on Xylo Audio 2', arXiv 2406.15112, "
    "2024, abstract: 291 µW of dynamic power; Audio 3 and IMU are taken to be alike",
    power=291e-6,
    missing="whatever makes a network take more or less than that one, the front end, idle power",
)


@dataclass(frozen=True)
class Estimate:
    """What a step takes.

    Args:
        cycles: of the clock, at the activity of a sample; busiest: with an event on every input
            and from every hidden neuron.
        dt: s.
    """

    cycles: float
    busiest: float
    dt: float

    @property
    def clock(self) -> float:
        """The clock that the activity needs, Hz."""
        return MARGIN * self.cycles / self.dt

    @property
    def busiest_clock(self) -> float:
        """The clock with which no activity is too much, Hz."""
        return MARGIN * self.busiest / self.dt

    def __str__(self) -> str:
        return (
            f"estimated, {self.cycles:,.0f} cycles a step, a clock of "
            f"{format_si(self.clock, 'Hz', 3)} or more at this activity and of "
            f"{format_si(self.busiest_clock, 'Hz', 3)} at the most there can be ({SOURCE})"
        )


def cycles(c: Configuration, p_in: float, p_hidden: float) -> float:
    """Cycles of a step.

    inputs (3.5 p_in n + 1) + n (7 f p + 3) + p n (1 + 8 outputs) + n (19 + 3 p) + 12 outputs

    Args:
        c: n hidden neurons that reach f others on average.
        p_in, p_hidden: share of the input channels and of the hidden neurons with events in a step.
    """
    n, m = len(c.hidden), len(c.out)
    fan_out = float((c.weights_rec != 0).any(0).sum() / n)
    return (
        c.inputs * (3.5 * p_in * n + 1)
        + n * (7 * fan_out * p_hidden + 3)
        + p_hidden * n * (1 + 8 * m)
        + n * (19 + 3 * p_hidden)
        + 12 * m
    )


def estimate(twin: Twin, x: Tensor) -> Estimate:
    """What a step takes with the activity of a sample, (time, batch, inputs)."""
    shown, _ = twin.run(x, exact=False)
    c = twin.configuration
    active = np.mean(x.numpy() > 0), np.mean(shown.spikes.numpy() > 0)
    return Estimate(cycles(c, float(active[0]), float(active[1])), cycles(c, 1, 1), c.dt)
