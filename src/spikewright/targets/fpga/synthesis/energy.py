"""What an inference would cost, by published energies of operations: a model, no measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spikewright.compiler.reporting.energy import HOROWITZ, EnergyTable
from spikewright.targets.fpga.synthesis.activity import Activity

PJ = 1e-12


@dataclass(frozen=True)
class OperationEnergies:
    """Energies of operations on a chip made for them, and what an FPGA takes more.

    An addition of n bits is on the line through those of 8 and 32 bits; memory costs the same for
    each bit of its words.

    Args:
        name: what tables call it.
        source: of the numbers.
        add8, add32: J, additions of 8 and 32 bits.
        memory: J, a bit of a memory on the chip, read or written.
        outside: J, a bit of a memory beside the chip.
        fabric: times as much that logic takes in the fabric of an FPGA. Not applied to memories,
            which an FPGA has as blocks of their own.
        missing: what is not counted.

    >>> HOROWITZ_45NM_FPGA.addition(8) / (14 * HOROWITZ_45NM_FPGA.add8)
    1.0
    """

    name: str
    source: str
    add8: float
    add32: float
    memory: float
    outside: float
    fabric: float
    missing: str

    def addition(self, bits: int) -> float:
        """J, of an adder of so many bits in the fabric."""
        each = (self.add32 - self.add8) / 24
        return self.fabric * max(self.add8 + each * (bits - 8), each * bits)

    @property
    def table(self) -> EnergyTable:
        """What reports call it; `energy` tells the parts, no operation of the table any more."""
        return EnergyTable(self.name, self.source, missing=self.missing)


HOROWITZ_45NM_FPGA = OperationEnergies(
    name="45 nm by Horowitz, logic times 14",
    source=(
        f"{HOROWITZ.source}, 45 nm at 0.9 V: additions of 8 and 32 bits 0.03 and 0.1 pJ, 64 bits "
        "of an 8 KB memory 10 pJ, 64 bits of a DRAM 1.3 to 2.6 nJ (the lower); Kuon and Rose, "
        "IEEE TCAD 26 (2007): logic takes about 14 times the dynamic power in an FPGA"
    ),
    add8=HOROWITZ.add8,
    add32=HOROWITZ.add32,
    memory=HOROWITZ.memory,
    outside=HOROWITZ.outside,
    fabric=14.0,
    missing="leakage, clock tree, registers that only hold, control, comparisons of max pooling, "
    "pins; processes other than 45 nm",
)


def energy(
    activity: Activity, energies: OperationEnergies = HOROWITZ_45NM_FPGA
) -> Mapping[str, float]:
    """J an inference by what takes them; their sum is the model's energy.

    A doubling switches a register and counts as an addition, which is on the side of a rate code.

    >>> found = energy(Activity(100, 8, additions=1000, read_bits=64))
    >>> {name: round(joule / PJ, 3) for name, joule in found.items()}
    {'additions': 420.0, 'memory': 10.0, 'outside': 0.0}
    """
    a = activity
    adders = a.additions + a.doublings + a.roundings
    return {
        "additions": adders * energies.addition(a.sum_bits),
        "memory": (a.read_bits + a.written_bits) * energies.memory,
        "outside": a.streamed_bits * energies.outside,
    }
