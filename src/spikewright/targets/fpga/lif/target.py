"""The target `fpga-lif`: spiking networks on a generated event-driven core."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor

from spikewright.compiler.design import Design, Pass
from spikewright.compiler.reporting.energy import HOROWITZ_45NM_INTEGER
from spikewright.compiler.target import Broken, Limit
from spikewright.errors import ParameterError, ProgramError
from spikewright.targets.fpga.lif.artefact import OnLIFCore, restored
from spikewright.targets.fpga.lif.choose_points import NETWORK, SPIKES, ChoosePoints
from spikewright.targets.fpga.lif.clocks import most_clocks
from spikewright.targets.fpga.lif.fix import points_of
from spikewright.targets.fpga.lif.footprint import memory_bits
from spikewright.targets.fpga.lif.lanes import Lanes
from spikewright.targets.fpga.lif.layers import faults
from spikewright.targets.fpga.lif.network import FixedNetwork
from spikewright.targets.fpga.lif.options import lanes_of, numbers_of
from spikewright.targets.fpga.lif.print_neuron import value_bits
from spikewright.targets.fpga.lif.settings import FixedPoint

ASKED = "asked for by the user"
EVENTS = "rtl, lif_core.sv: the fields of an event"
ENERGY = replace(
    HOROWITZ_45NM_INTEGER,
    missing=f"{HOROWITZ_45NM_INTEGER.missing}; and an FPGA takes many times what a circuit of its "
    "own does. It compares networks, it measures nothing",
)
WAYS = {
    "spikes": "Allow more with numbers={'spikes': ...}; other numbers must be encoded as spikes.",
    "lines": "Use smaller layers.",
    "readout": "Use fewer bits for the membrane.",
    "memory": "Use smaller layers, fewer bits, lanes={'stream_weights': True}, or raise memory.",
    "cycles": "Use more lanes, smaller layers, or raise cycles.",
}


@dataclass(frozen=True)
class LIFCore:
    """A core that is generated for a network of LIF neurons and their like, and works on events.

    Args:
        numbers: bits of weights, states and coefficients, a `FixedPoint` or its fields by name.
        lanes: neurons at once, length of the queues and where weights are, a `Lanes` or its
            fields by name.
        clock: Hz, for times.
        memory: most bits of memory on the chip; ``None`` sets no limit.
        cycles: most clocks a step may take, whatever comes, likewise.

    Raises:
        ParameterError: an option is out of range.

    >>> LIFCore(numbers={"weight": 6}, lanes={"lanes": [4, 2]}).options["lanes"]
    {'lanes': [4, 2], 'queue': 16, 'stream_weights': False}
    """

    numbers: FixedPoint | Mapping[str, Any] | None = None
    lanes: Lanes | Mapping[str, Any] | None = None
    clock: float = 100e6
    memory: int | None = None
    cycles: int | None = None

    name = "fpga-lif"
    title = "an FPGA core of spiking layers on events"
    digital = False  # coefficients and what is between lines are rounded, which no format says
    grid = None
    energy = ENERGY
    modules_go_to = "fpga"

    def __post_init__(self) -> None:
        numbers_of(self.numbers)
        lanes_of(self.lanes)
        rules = [("clock", "above 0 Hz and finite", 0 < self.clock < math.inf)]
        for name in ("memory", "cycles"):
            value = getattr(self, name)
            rules.append(
                (name, "None or whole", value is None or (type(value) is int and value > 0))
            )
        for name, rule, right in rules:
            if not right:
                raise ParameterError(
                    f"fpga-lif: {name} must be {rule}, got {getattr(self, name)!r}. Leave it out "
                    "for its default."
                )

    @property
    def formats(self) -> FixedPoint:
        """The numbers, whichever way they were given."""
        return numbers_of(self.numbers)

    @property
    def chosen(self) -> Lanes:
        """The lanes, likewise."""
        return lanes_of(self.lanes)

    @property
    def limits(self) -> Sequence[Limit]:
        found = [
            Limit("spikes", self.formats.spikes, "spikes on a line in a step", "numbers.spikes: "
                  "sums are wide enough for these"),
            Limit("lines", 2**30, "lines or neurons of a layer", EVENTS),
            Limit("readout", 32, "bits of a number that comes out", EVENTS),
        ]  # fmt: skip
        asked = (("memory", "bits on the chip"), ("cycles", "clocks a step"))
        values = ((name, getattr(self, name), unit) for name, unit in asked)
        return found + [Limit(name, v, unit, ASKED) for name, v, unit in values if v is not None]

    @property
    def options(self) -> Mapping[str, Any]:
        lanes = self.chosen
        many = lanes.lanes if isinstance(lanes.lanes, int) else list(lanes.lanes)
        return {
            "numbers": asdict(self.formats),
            "lanes": asdict(lanes) | {"lanes": many},
            "clock": self.clock,
            "memory": self.memory,
            "cycles": self.cycles,
        }

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "the core's exact twin in whole numbers",
            "code": "events: a spike costs one row of weights, a step one round of all neurons",
            "takes": "Linear and Recurrent layers of IF, LIF and CubaLIF neurons, a readout",
            "energy": f"{ENERGY.name} ({ENERGY.source})",
        }

    def passes(self, calibration: Tensor) -> Sequence[Pass]:
        return [ChoosePoints(calibration, self.formats, self.chosen, self.clock)]

    def check(self, design: Design) -> list[Broken]:
        found, used = faults(design.program), self.used(design)
        for it in self.limits:
            need = used.get(it.name)
            if need is not None and not it.holds(need):
                text = f"{need:,.0f} {it.unit}" if need < math.inf else "numbers that are no counts"
                where = "input" if it.name == "spikes" else "all"
                found.append(Broken(where, it.name, text, f"{it.value:,.0f}", WAYS[it.name]))
        return found

    def used(self, design: Design) -> Mapping[str, float]:
        found: dict[str, float] = {"spikes": design.extra[SPIKES]}
        network: FixedNetwork | None = design.extra.get(NETWORK)
        if network is None:
            return found
        last = network.layers[-1]
        return found | {
            "lines": max(network.inputs, *(layer.neurons for layer in network.layers)),
            "readout": 0 if last.spiking else value_bits(last),
            "memory": sum(memory_bits(network, self.chosen).values()),
            "cycles": most_clocks(network, self.chosen),
        }

    def lower(self, design: Design) -> OnLIFCore:
        points = points_of(design.extra[NETWORK])
        return OnLIFCore(design.program, self.formats, points, self.chosen, self.clock)

    def restore(
        self, design: Design, tensors: Mapping[str, Tensor], values: Mapping[str, Any]
    ) -> OnLIFCore:
        """The artefact again.

        Raises:
            ProgramError: the values are not what an artefact of this target saves.
        """
        if tensors:
            raise ProgramError(
                f"fpga-lif.restore: the file must hold no tensors of its own, got {list(tensors)}. "
                "Compile the network again."
            )
        return restored(design.program, values, (self.formats, self.chosen, self.clock))
