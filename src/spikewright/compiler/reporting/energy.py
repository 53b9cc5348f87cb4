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


HOROWITZ_45NM = EnergyTable(
    name="45 nm digital, 32-bit floating point",
    source="Horowitz, ISSCC 2014: addition 0.9 pJ, multiplication 3.7 pJ",
    synaptic_operation=0.9e-12,
    multiplication=4.6e-12,
    update=4.6e-12,
    missing="memory access and control; an update counts as one multiplication and addition",
)
HOROWITZ_45NM_INTEGER = EnergyTable(
    name="45 nm digital, 32-bit integers",
    source="Horowitz, ISSCC 2014: addition 0.1 pJ, multiplication 3.1 pJ",
    synaptic_operation=0.1e-12,
    multiplication=3.2e-12,
    update=3.2e-12,
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
