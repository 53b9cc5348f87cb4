"""What an accelerator does during an inference that costs energy, counted by its simulation."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from spikewright.targets.fpga import verilator
from spikewright.targets.fpga.memory import Whole
from spikewright.targets.fpga.program import Program

COUNTERS = Path(verilator.__file__).parent / "bench" / "activity.sv"


@dataclass(frozen=True)
class Activity:
    """Means over samples, of one inference.

    Args:
        cycles: of the clock.
        sum_bits: of an accumulator.
        additions: of weights other than 0 to accumulators, whether or not the sum is used: lanes
            beyond a row's end and units without a channel count, for they switch as well.
        doublings: of accumulators that a new step of a radix code begins with.
        roundings: of sums to activations, in all units; numbers that come in count as well.
        read_bits, written_bits: of memories on the chip: of words that were not read before.
        streamed_bits: of weights from outside.
    """

    cycles: int
    sum_bits: int
    additions: float = 0.0
    doublings: float = 0.0
    roundings: float = 0.0
    read_bits: float = 0.0
    written_bits: float = 0.0
    streamed_bits: float = 0.0


def count_activity(program: Program, q: Whole) -> Activity:
    """Simulate the SystemVerilog with counters bound to its modules.

    Args:
        q: inputs (batch, *program.inputs); some samples of real data are enough.

    Raises:
        ShapeError, MissingDependency, ProgramError: see `spikewright.targets.fpga.verilator`.
    """
    totals = Counter[str]()
    clocks: list[int] = []
    for line in verilator.simulated(program, q, watchers=(COUNTERS,)).splitlines():
        first, *rest = line.split()
        if first == "activity":
            totals[rest[0]] += int(rest[1])
        else:
            clocks.append(int(first) - int(rest[0]))
    means = {name: total / len(clocks) for name, total in totals.items()}
    return Activity(clocks[0], program.dimensions.sum, **means)
