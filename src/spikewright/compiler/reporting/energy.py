"""What an operation costs, by published tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EnergyTable:
    """Energies of a technology or a chip, all in J, and the power that it draws at rest, in W.

    A cost that a source does not give is zero and is named in ``missing``.

    Args:
        name: what reports call it.
        source: publication, and "from memory" for what was not looked up there.
        synaptic_operation: a spike meets a synapse: one addition of a weight.
        multiplication: a value that is no spike meets a weight: multiply and add.
        update: a neuron advances by one step.
        spike: on top of the update, a neuron fires.
        power: W, while the network runs, whatever it does.
        missing: what the table does not count.
    """

    name: str
    source: str
    synaptic_operation: float = 0.0
    multiplication: float = 0.0
    update: float = 0.0
    spike: float = 0.0
    power: float = 0.0
    missing: str = ""


@dataclass(frozen=True)
class Operations:
    """Energies of single operations of a technology, all in J, that tables are made of.

    Args:
        source: publication.
        add8, add32, multiply32: of whole numbers of so many bits.
        float_add32, float_multiply32: of floating-point numbers.
        memory: a bit of a memory of 8 KB on the chip, 64 of them at once.
        outside: a bit of a memory beside the chip, the lower end of what is given.
    """

    source: str
    add8: float
    add32: float
    multiply32: float
    float_add32: float
    float_multiply32: float
    memory: float
    outside: float


HOROWITZ = Operations(
    source="Horowitz, ISSCC 2014",
    add8=0.03e-12,
    add32=0.1e-12,
    multiply32=3.1e-12,
    float_add32=0.9e-12,
    float_multiply32=3.7e-12,
    memory=10e-12 / 64,
    outside=1300e-12 / 64,
)
"""45 nm at 0.9 V."""
HOROWITZ_45NM = EnergyTable(
    name="45 nm digital, 32-bit floating point",
    source=f"{HOROWITZ.source}: addition 0.9 pJ, multiplication 3.7 pJ",
    synaptic_operation=HOROWITZ.float_add32,
    multiplication=HOROWITZ.float_add32 + HOROWITZ.float_multiply32,
    update=HOROWITZ.float_add32 + HOROWITZ.float_multiply32,
    missing="memory access and control; an update counts as one multiplication and addition",
)
HOROWITZ_45NM_INTEGER = EnergyTable(
    name="45 nm digital, 32-bit integers",
    source=f"{HOROWITZ.source}: addition 0.1 pJ, multiplication 3.1 pJ",
    synaptic_operation=HOROWITZ.add32,
    multiplication=HOROWITZ.add32 + HOROWITZ.multiply32,
    update=HOROWITZ.add32 + HOROWITZ.multiply32,
    missing="memory access and control; an update counts as one multiplication and addition",
)
LOIHI = EnergyTable(
    name="Loihi, 14 nm",
    source="Davies et al., IEEE Micro 38 (2018), table 2: 23.6 pJ a synaptic operation; neuron "
    "updates, 52 pJ inactive and 81 pJ active, from memory",
    synaptic_operation=23.6e-12,
    multiplication=23.6e-12,
    update=52e-12,
    spike=29e-12,
    missing="traffic between cores, input and output, idle power",
)
BRAINSCALES2 = EnergyTable(
    name="BrainScaleS-2, whole chip",
    source="Cramer et al., PNAS 119 (2022): less than 200 mW",
    power=0.2,
    missing="the host and the link; an upper bound that does not depend on activity",
)

TABLES = {
    "45nm-float": HOROWITZ_45NM,
    "45nm-integer": HOROWITZ_45NM_INTEGER,
    "loihi": LOIHI,
    "brainscales2": BRAINSCALES2,
}
"""The tables by the names that options use."""
