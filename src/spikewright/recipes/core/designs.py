"""Accelerators of one network for both codes, through the tools: what they take and how fast."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spikewright.recipes.core.metric_table import MetricTable
from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.emit import emit
from spikewright.targets.fpga.integer import IntegerNetwork
from spikewright.targets.fpga.memory import Whole
from spikewright.targets.fpga.synthesis.activity import Activity, count_activity
from spikewright.targets.fpga.synthesis.ecp5 import Ecp5
from spikewright.targets.fpga.synthesis.energy import energy
from spikewright.targets.fpga.synthesis.result import Synthesis
from spikewright.targets.fpga.synthesis.synthesise import synthesise
from spikewright.targets.fpga.synthesis.xilinx import Xilinx

STEPS = "steps of an activation"
CLOCKS = "clocks an inference"
MEDIAN = "ECP5: MHz after place and route, median"
LOWEST, HIGHEST = "ECP5: MHz, lowest", "ECP5: MHz, highest"
LATENCY = "ms an inference"
LUT_SECONDS = "LUT · s: ECP5 LUT over inferences a second"
ADDITIONS = "model: additions, doublings and roundings an inference"
MEMORY = "model: bits of memory an inference"
ENERGY = "model: µJ an inference"
POWER = "model: mW, one inference after the other"
KINDS = {"lut": "LUT", "ff": "FF", "bram": "BRAM"}
TABLE = MetricTable(
    "Accelerators",
    (
        STEPS,
        CLOCKS,
        *(f"7-series: {kind}" for kind in KINDS.values()),
        *(f"ECP5: {kind}" for kind in KINDS.values()),
        MEDIAN,
        LOWEST,
        HIGHEST,
        LATENCY,
        LUT_SECONDS,
        ADDITIONS,
        MEMORY,
        ENERGY,
        POWER,
    ),
    "Both accelerators of a network come from the same generator, have the same units and give "
    "the same numbers, bit for bit. Yosys counts what they take of a 7-series chip (a BRAM is 36 "
    "kbit), Yosys and nextpnr of an ECP5 (18 kbit), with the clock after place and route over "
    "several placements; latency is at the median. Energy and power are a model of published "
    "energies an operation, and no measurement.",
)
Report = Callable[[str], object]
Code = Literal["radix", "rate"]
CODES: tuple[Code, ...] = ("radix", "rate")


@dataclass(frozen=True)
class Through:
    """What goes through the tools, and where.

    Args:
        units, linear: of the hardware.
        part: of the ECP5.
        seeds: of placements.
        folder: for sources, logs and results; a second call takes those up.
        progress: called with lines about where the tools are.
    """

    units: int
    linear: int
    part: str
    seeds: Sequence[int]
    folder: Path
    progress: Report | None = None


def both_codes(network: IntegerNetwork, q: Whole, how: Through) -> dict[str, float]:
    """What radix and rate take for a network, and how they compare.

    Args:
        q: inputs (batch, *network.shape) that energy is modelled on.

    Returns:
        By ``"T = 4, radix: QUANTITY"`` what `TABLE` shows, and ratios by `ratio`.

    Raises:
        MissingDependency, ProgramError: see `synthesise` and `count_activity`.
    """
    steps = network.bits
    found = {code: _quantities(network, q, code, how) for code in CODES}
    radix, rate = found["radix"], found["rate"]
    values = {
        f"T = {steps}, {code}: {name}": value
        for code, quantities in found.items()
        for name, value in quantities.items()
    }
    return values | {
        ratio(steps, LUT_SECONDS): radix[LUT_SECONDS] / rate[LUT_SECONDS],
        ratio(steps, LATENCY): rate[LATENCY] / radix[LATENCY],
        ratio(steps, POWER): radix[POWER] / rate[POWER],
        ratio(steps, ENERGY): radix[ENERGY] / rate[ENERGY],
    }


RATIOS = {
    LUT_SECONDS: "LUT over inferences a second, radix over rate",
    LATENCY: "latency, rate over radix",
    POWER: "power by the model, each as fast as it can, radix over rate",
    ENERGY: "energy by the model, that is power at as many inferences a second, radix over rate",
}


def ratio(steps: int, quantity: str) -> str:
    """The metric that compares both codes in a quantity at T steps."""
    return f"T = {steps}, {RATIOS[quantity]}"


def _quantities(network: IntegerNetwork, q: Whole, code: Code, how: Through) -> dict[str, float]:
    program = assemble(network, Hardware(units=how.units, linear=how.linear, code=code))
    activity = count_activity(program, q)
    place = emit(program, how.folder / f"T{network.bits}-{code}")
    flows = [Ecp5(part=how.part, seed=seed) for seed in how.seeds]
    placed = [synthesise(place, flow, progress=how.progress) for flow in flows]
    counted = synthesise(place, Xilinx(), progress=how.progress)
    return {
        STEPS: float(program.dimensions.planes(network.bits)),
        CLOCKS: float(activity.cycles),
        **_taken("7-series", counted),
        **_taken("ECP5", placed[0]),
        **_speed(placed, activity),
    }


def _taken(chip: str, made: Synthesis) -> dict[str, float]:
    return {f"{chip}: {shown}": float(made.resources[kind]) for kind, shown in KINDS.items()}


def _speed(placed: Sequence[Synthesis], activity: Activity) -> dict[str, float]:
    """The clock, what follows of it, and what the model says of energy."""
    clocks = [made.fmax for made in placed if made.fmax is not None]
    middle = statistics.median(clocks)
    latency = activity.cycles / (1e6 * middle)
    joule = sum(energy(activity).values())
    return {
        MEDIAN: middle,
        LOWEST: min(clocks),
        HIGHEST: max(clocks),
        LATENCY: 1e3 * latency,
        LUT_SECONDS: placed[0].resources["lut"] * latency,
        ADDITIONS: activity.additions + activity.doublings + activity.roundings,
        MEMORY: activity.read_bits + activity.written_bits,
        ENERGY: 1e6 * joule,
        POWER: 1e3 * joule / latency,
    }
