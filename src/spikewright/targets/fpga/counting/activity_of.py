"""The activity of an accelerator without a simulation of it."""

from __future__ import annotations

from spikewright.targets.fpga.counting.accesses import Accesses
from spikewright.targets.fpga.counting.additions import additions
from spikewright.targets.fpga.memory import Whole
from spikewright.targets.fpga.program import Program
from spikewright.targets.fpga.synthesis.activity import Activity


def activity_of(program: Program, q: Whole) -> Activity:
    """What `count_activity` counts in a simulation of the SystemVerilog, in a fraction of the time.

    Args:
        q: inputs (batch, *program.inputs); some samples of real data are enough.

    Raises:
        ShapeError: another shape.
    """
    return with_additions(program, additions(program, q), len(q))


def with_additions(program: Program, added: int, samples: int) -> Activity:
    """The same, where additions are known: of another program of the network, for example.

    Args:
        added: additions over all samples, see `additions`.
        samples: one after another, the first of them after the power came on.
    """
    accesses = Accesses(program)
    first, later = accesses.infer(), accesses.infer()
    means = {
        name: (count + (samples - 1) * later[name]) / samples
        for name, count in first.items()
        if name != "cycles"
    }
    return Activity(first["cycles"], program.dimensions.sum, additions=added / samples, **means)
