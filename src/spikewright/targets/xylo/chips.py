"""The chips of the family and what each can hold, every number with its source."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.compiler.target import Limit

MAPPER = "the mapper of Rockpool 3.1.0 for this chip, read"
DOCUMENTS = "Rockpool's documentation of the chip's logic, read"
SIMULATOR = "xylosim 0.1.3, measured"
MEMORY = "from memory"

MOST_WEIGHT = 127
MOST_SHIFT = 7
"""Bits by which all weights of a matrix are shifted to the left."""
MOST_DASH = 15
MOST_STATE, LEAST_STATE = 2**15 - 1, -(2**15)
MOST_IN, MOST_HIDDEN, MOST_OUT = 15, 31, 1
"""Events of a channel in a step: of an input, of a hidden neuron, of an output."""
MOST_FAN_OUT = 64


@dataclass(frozen=True)
class Chip:
    """A chip of the family.

    Args:
        name: of the target; part: what the maker calls it.
        inputs, hidden, outputs: channels and neurons.
        synapses: currents of a hidden neuron, each with a time constant of its own.
        core: 1 or 2; the second one has a constant bias for each neuron, and saturates the change
            of a membrane before it is added.
    """

    name: str
    title: str
    part: str
    inputs: int
    hidden: int
    outputs: int
    synapses: int
    core: int

    @property
    def limits(self) -> tuple[Limit, ...]:
        """All limits, as reports show them."""
        return (
            Limit("inputs", self.inputs, "channels", f"{MAPPER}; 16, {MEMORY}"),
            Limit("hidden", self.hidden, "neurons", MAPPER),
            Limit("outputs", self.outputs, "neurons", MAPPER),
            Limit("synapses", self.synapses, "currents a hidden neuron", MAPPER),
            Limit("fan-out", MOST_FAN_OUT, "hidden neurons that one reaches", MEMORY),
            Limit("weight", MOST_WEIGHT, "largest code, times 2^shift", MAPPER),
            Limit("weight shift", MOST_SHIFT, "bits, one for each matrix", MEMORY),
            Limit("time constant", MOST_DASH, "bits shifted in a decay", MEMORY),
            Limit("threshold", MOST_STATE, "largest code", f"{MAPPER}: 16 bits"),
            Limit("input events", MOST_IN, "a channel and step", DOCUMENTS),
            Limit("hidden events", MOST_HIDDEN, "a neuron and step", SIMULATOR),
            Limit("output events", MOST_OUT, "a neuron and step", SIMULATOR),
        )


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("xylo-audio2", "Xylo Audio 2", "SYNS61201", 16, 1000, 8, 2, core=1),
        Chip("xylo-audio3", "Xylo Audio 3", "SYNS65302", 16, 992, 32, 2, core=2),
        Chip("xylo-imu", "Xylo IMU", "SYNS63300", 16, 496, 16, 1, core=2),
    )
}
"""By the name of the target."""
