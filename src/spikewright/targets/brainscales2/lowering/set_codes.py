"""The pass `SetCodes`: the analogue parameters of every run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from spikewright.compiler.design import Design, Pass
from spikewright.targets.brainscales2.lowering.timing import Pace
from spikewright.targets.brainscales2.lowering.wanted import seats, wanted
from spikewright.targets.brainscales2.settings import Settings, Wanted

SETTINGS = "settings"
"""Where a design keeps them by run, in ``extra``."""
_ROUNDS = 4

Choose = Callable[[Wanted], Settings]
Lay = Callable[[tuple[int, ...]], "tuple[Pass, ...]"]


@dataclass(frozen=True, eq=False)
class SetCodes:
    """Find codes that make the circuits of each run do what their neurons are meant to.

    If a circuit turns out to be dead that has a neuron, the network is laid out again without it.

    Args:
        pace: of the chip.
        choose: from what is wanted of the circuits to their codes.
        lay: the passes from `Partition` to `Schedule` for a number of dead circuits.
        good: whether a design can be lowered; one that cannot is left alone.
    """

    pace: Pace
    choose: Choose
    lay: Lay
    good: Callable[[Design], bool]
    dead: tuple[int, ...] = field(default=())

    @property
    def name(self) -> str:
        return "set_codes"

    def apply(self, design: Design) -> Design:
        """Set ``extra["settings"]``."""
        dead = set(self.dead)
        for _ in range(_ROUNDS):
            if not self.good(design):
                return design
            clock = self.pace.clock(design.program.dt)
            found = {s.run: self.choose(wanted(design, s.run, clock)) for s in design.slots}
            lost = {c for run, it in found.items() for c in _used(design, run) & set(it.dead)}
            design = replace(design, extra={**design.extra, SETTINGS: found})
            if not lost:
                break
            dead |= {circuit for it in found.values() for circuit in it.dead}
            which = ", ".join(map(str, sorted(lost)))
            design = design.noting(f"set_codes: circuits {which} are dead, others take their place")
            for one in self.lay(tuple(sorted(dead))):
                design = one.apply(design)
        return design


def _used(design: Design, run: int) -> set[int]:
    return {int(c) for _, _, circuits in seats(design, run) for c in circuits}
