"""Designs side by side: what they take, how fast they are, what an inference costs by the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spikewright.compiler.reporting.table import text_table
from spikewright.errors import ParameterError
from spikewright.targets.fpga.synthesis.activity import Activity
from spikewright.targets.fpga.synthesis.energy import (
    HOROWITZ_45NM_FPGA,
    OperationEnergies,
    energy,
)
from spikewright.targets.fpga.synthesis.result import Synthesis

HEAD = ("design", "device", "LUT", "FF", "BRAM", "DSP", "clocks", "MHz", "ms", "µJ*", "mW*")
MODEL = "* by a model, no measurement"
ms, uJ, mW = 1e3, 1e6, 1e3


@dataclass(frozen=True)
class SynthesisedDesign:
    """An accelerator that tools have worked through, and what is known of it.

    Args:
        name: what tables call it.
        synthesis: of it.
        cycles: clocks an inference, of the interpreter or the simulation.
        activity: of an inference; ``None`` if it was not counted.
        clock: MHz, where the synthesis placed nothing or a board sets it; no more than ``fmax``.
        energies: of the model.

    Raises:
        ParameterError: a clock above the highest one that the design can have.

    >>> made = Synthesis("nextpnr", "1", "ecp5", {"lut": 900}, 1.0, (), "0", fmax=50.0)
    >>> SynthesisedDesign("small", made, 100_000).latency
    0.002
    """

    name: str
    synthesis: Synthesis
    cycles: int
    activity: Activity | None = None
    clock: float | None = None
    energies: OperationEnergies = HOROWITZ_45NM_FPGA

    def __post_init__(self) -> None:
        highest = self.synthesis.fmax
        if self.clock is not None and not 0 < self.clock <= (highest or float("inf")):
            raise ParameterError(
                "fpga.SynthesisedDesign: clock must be above 0 and at most "
                f"{highest or 'any'} MHz, got {self.clock}. Leave it out to take the highest."
            )

    @property
    def megahertz(self) -> float | None:
        """The clock; ``None`` if there is none."""
        return self.clock if self.clock is not None else self.synthesis.fmax

    @property
    def latency(self) -> float | None:
        """s an inference: clocks over the clock."""
        return None if self.megahertz is None else self.cycles / (self.megahertz * 1e6)

    @property
    def energy(self) -> float | None:
        """J an inference, by the model."""
        return None if self.activity is None else sum(energy(self.activity, self.energies).values())

    @property
    def power(self) -> float | None:
        """W while one inference follows the other, by the model: energy over latency."""
        if self.energy is None or self.latency is None:
            return None
        return self.energy / self.latency

    @property
    def lut_seconds(self) -> float | None:
        """Look-up tables over inferences a second: what throughput costs."""
        return None if self.latency is None else self.synthesis.resources["lut"] * self.latency


def design_table(designs: Sequence[SynthesisedDesign]) -> str:
    """As text, with what the model is and what it leaves out.

    >>> made = Synthesis("nextpnr", "1", "ecp5", {"lut": 900}, 1.0, (), "0", fmax=50.0)
    >>> print(design_table([SynthesisedDesign("small", made, 100_000)]).splitlines()[1])
    small     ecp5  900   –     –    –  100,000  50.0  2.000    –    –
    """
    rows = [_row(design) for design in designs]
    table = text_table(HEAD, rows)
    models = dict.fromkeys(each.energies for each in designs if each.activity is not None)
    notes = [f"{MODEL}: {it.source}. Not in it: {it.missing}." for it in models]
    return "\n".join([table, *notes])


def as_values(design: SynthesisedDesign) -> dict[str, Any]:
    """Plain values for JSON: what was found, what follows, and the model."""
    return {
        "name": design.name,
        "synthesis": asdict(design.synthesis),
        "cycles": design.cycles,
        "clock_mhz": design.megahertz,
        "latency_s": design.latency,
        "lut_seconds": design.lut_seconds,
        "activity": None if design.activity is None else asdict(design.activity),
        "modelled_energy_j": design.energy,
        "modelled_power_w": design.power,
        "energy_model": asdict(design.energies),
    }


def _row(design: SynthesisedDesign) -> tuple[str, ...]:
    found = design.synthesis.resources
    return (
        design.name,
        design.synthesis.device,
        *(f"{found[kind]:,g}" if kind in found else "–" for kind in ("lut", "ff", "bram", "dsp")),
        f"{design.cycles:,}",
        _shown(design.megahertz, ".1f"),
        _shown(design.latency, ".3f", ms),
        _shown(design.energy, ".3g", uJ),
        _shown(design.power, ".3g", mW),
    )


def _shown(value: float | None, form: str, unit: float = 1.0) -> str:
    return "–" if value is None else format(value * unit, form)
