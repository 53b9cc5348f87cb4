"""What the chip can hold, each number with its source."""

from __future__ import annotations

from spikewright.compiler.target import Limit
from spikewright.targets.brainscales2.chip import (
    BLOCKS,
    CIRCUITS,
    COLUMNS,
    MOST_CODE,
    MOST_WEIGHT,
    ROWS,
)
from spikewright.targets.brainscales2.lowering.wiring import MOST_ENTRIES

PAGES = "the group's web pages: 512 neurons, 131,072 synapses, 6-bit weights"
HXTORCH = "hxtorch.spiking, read: a signed weight takes two rows"
MEMORY = "from memory"
TWIN = "a choice of this target's twin (transfer.py), in the range that users of the chip work in"

SIGNED = ROWS // 2
"""Signed inputs of a circuit: each takes a row that excites and one that inhibits."""
LEAST_TAU, MOST_TAU = 1.25e-6, 100e-6
"""s; within the ends of the parameter's range by what calibration may need."""
LEAST_GAIN, MOST_GAIN = 0.05, 3.0
"""LSB of synaptic current for each weight code; likewise."""
LEAST_POTENTIAL, MOST_POTENTIAL = 10.0, 245.0
"""LSB, between which the converter sees a leak, a reset and a threshold of any circuit."""
MOST_REFRACTORY = 100e-6
MOST_RATE = 250e6
"""Events per second over the link, in and out together."""

LIMITS = (
    Limit("neuron circuits", CIRCUITS, "circuits", PAGES),
    Limit("blocks", BLOCKS, "blocks", MEMORY),
    Limit("columns", COLUMNS, "circuits a block", f"512 circuits in two blocks; {MEMORY}"),
    Limit("rows", ROWS, "rows a block", f"131,072 synapses = 256 rows x 512 columns; {PAGES}"),
    Limit("signed inputs", SIGNED, "inputs a circuit", HXTORCH),
    Limit("weight", MOST_WEIGHT, "largest code, with a sign per row", PAGES),
    Limit("membrane samples", 8, "bits", f"parallel converter; {MEMORY}"),
    Limit("analogue parameter", MOST_CODE, "largest code", f"10 bits; {MEMORY}"),
    Limit("least time constant", LEAST_TAU * 1e6, "µs of the chip", TWIN, least=True),
    Limit("largest time constant", MOST_TAU * 1e6, "µs of the chip", TWIN),
    Limit("least gain", LEAST_GAIN, "LSB a code", TWIN, least=True),
    Limit("largest gain", MOST_GAIN, "LSB a code", TWIN),
    Limit("refractory period", MOST_REFRACTORY * 1e6, "µs of the chip", TWIN),
    Limit("link", MOST_RATE * 1e-6, "events a µs", MEMORY),
    Limit("unrolled matrix", MOST_ENTRIES, "entries", "a choice of this lowering"),
)
