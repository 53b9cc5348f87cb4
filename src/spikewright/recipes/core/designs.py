"""Accelerators of one network for both codes, through the tools: what they take and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from spikewright.recipes.core.metric_table import MetricTable
from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.emit import emit
from spikewright.targets.fpga.headlines import Report
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
RADIX, RATE, LARGER = "radix", "rate", "larger radix"
UNITS, LINEAR = "units", "linear outputs at once"
CHEAPER = "LUT over inferences a second, radix over rate"
FASTER = "latency, rate over radix"
LARGER_FASTER = "latency, rate over larger radix"
LARGER_LUT = "LUT, larger radix over rate"
LESS_ENERGY = "energy an inference by the model, radix over rate"
LESS_POWER = "power by the model, each at its own speed, radix over rate"
KINDS = {"lut": "LUT", "ff": "FF", "bram": "BRAM"}
TABLE = MetricTable(
    "Accelerators",
    (
        STEPS,
        UNITS,
        LINEAR,
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
    "All accelerators of a network come from the same generator and give the same numbers, bit for "
    "bit; radix and rate have the same units, the larger radix more, so that it takes about "
    "as many look-up tables as rate. Yosys counts what they take of a 7-series chip (a BRAM is 36 "
    "kbit), Yosys and nextpnr of an ECP5 (18 kbit), with the clock after place and route over "
    "several placements; latency is at the median. Energy and power are a model of published "
    "energies an operation, and no measurement.",
)


@dataclass(frozen=True)
class Through:
    """What goes through the tools, and where.

    Args:
        hardware: of both accelerators, but for the code.
        larger: of another radix accelerator, about as large as the rate-coded one.
        part: of the ECP5.
        placements: of which the median clock counts.
        folder: for sources, logs and results; a second call takes those up.
        progress: called with lines about where the tools are.
    """

    hardware: Hardware
    larger: Hardware
    part: str
    placements: int
    folder: Path
    progress: Report | None = None


def both_codes(network: IntegerNetwork, q: Whole, how: Through) -> dict[str, float]:
    """What radix and rate take for a network, and how they compare.

    Args:
        q: inputs (batch, *network.shape) that energy is modelled on.

    Returns:
        By ``"T = 4, radix: QUANTITY"`` what `TABLE` shows, and ratios by the names that `at`
        gives them.

    Raises:
        MissingDependency, ProgramError: see `synthesise` and `count_activity`.
    """
    designs = {
        RADIX: how.hardware,
        RATE: replace(how.hardware, code="rate"),
        LARGER: how.larger,
    }
    found = {name: _quantities(network, q, made, how) for name, made in designs.items()}
    values = {
        f"T = {network.bits}, {design}: {name}": value
        for design, quantities in found.items()
        for name, value in quantities.items()
    }
    return values | {at(network.bits, name): ratio for name, ratio in _compared(found).items()}


def at(steps: int, quantity: str) -> str:
    """The metric of a comparison at T steps.

    >>> at(4, FASTER)
    'T = 4: latency, rate over radix'
    """
    return f"T = {steps}: {quantity}"


def _compared(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Ratios of the quantities of all designs."""
    radix, rate, larger = found[RADIX], found[RATE], found[LARGER]
    return {
        CHEAPER: radix[LUT_SECONDS] / rate[LUT_SECONDS],
        FASTER: rate[LATENCY] / radix[LATENCY],
        LARGER_FASTER: rate[LATENCY] / larger[LATENCY],
        LARGER_LUT: larger["ECP5: LUT"] / rate["ECP5: LUT"],
        LESS_ENERGY: radix[ENERGY] / rate[ENERGY],
        LESS_POWER: radix[POWER] / rate[POWER],
    }


def _quantities(
    network: IntegerNetwork, q: Whole, hardware: Hardware, how: Through
) -> dict[str, float]:
    program = assemble(network, hardware)
    activity = count_activity(program, q)
    sizes = f"{hardware.units}x{hardware.linear}"
    place = emit(program, how.folder / f"T{network.bits}-{hardware.code}-{sizes}")
    flow = Ecp5(how.part, placements=how.placements)
    placed = synthesise(place, flow, progress=how.progress)
    counted = synthesise(place, Xilinx(), progress=how.progress)
    return {
        STEPS: float(program.dimensions.planes(network.bits)),
        UNITS: float(hardware.units),
        LINEAR: float(hardware.linear),
        CLOCKS: float(activity.cycles),
        **_taken("7-series", counted),
        **_taken("ECP5", placed),
        **_speed(placed, activity),
    }


def _taken(chip: str, made: Synthesis) -> dict[str, float]:
    return {f"{chip}: {shown}": float(made.resources[kind]) for kind, shown in KINDS.items()}


def _speed(placed: Synthesis, activity: Activity) -> dict[str, float]:
    """The clock, what follows of it, and what the model says of energy."""
    assert placed.fmax is not None
    latency = activity.cycles / (1e6 * placed.fmax)
    joule = sum(energy(activity).values())
    return {
        MEDIAN: placed.fmax,
        LOWEST: min(placed.clocks),
        HIGHEST: max(placed.clocks),
        LATENCY: 1e3 * latency,
        LUT_SECONDS: placed.resources["lut"] * latency,
        ADDITIONS: activity.additions + activity.doublings + activity.roundings,
        MEMORY: activity.read_bits + activity.written_bits,
        ENERGY: 1e6 * joule,
        POWER: 1e3 * joule / latency,
    }
