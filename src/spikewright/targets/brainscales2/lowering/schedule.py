"""The pass `Schedule`: the order of runs, and how long each one takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spikewright.compiler.design import Design, Slot
from spikewright.targets.brainscales2.lowering.response import is_ready, response
from spikewright.targets.brainscales2.lowering.timing import Pace, times
from spikewright.targets.brainscales2.lowering.wiring import biased, is_bias, layers, paths, size
from spikewright.units import format_seconds

RATE = "rate"
"""Where a design keeps the rate of its input, in ``extra``, events per second."""
WINDOW = 1e-6
"""s, over which the link counts events."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """Order the runs, with the time that events need to travel.

    Args:
        pace: of the chip.
        calibration: typical inputs, (time, batch, *features); runs are as long as these.
    """

    pace: Pace
    calibration: Tensor

    @property
    def name(self) -> str:
        return "schedule"

    def apply(self, design: Design) -> Design:
        """Set ``slots`` from ``places`` and ``routes``, and ``extra["rate"]``."""
        if not is_ready(design.program):
            return design
        runs = sorted({place.piece.run for place in design.places})
        extra = {**design.extra, RATE: self._rate(design)}
        slots = tuple(self._slot(design, run) for run in runs)
        notes = (*self._early(design), *_always(design))
        return design.noting(*notes, slots=slots, extra=extra)

    def _early(self, design: Design) -> Iterator[str]:
        """A sentence for each layer whose spikes come back to it sooner than in the model."""
        clock = self.pace.clock(design.program.dt)
        for node in layers(design.program):
            early = clock.early_return(response(node, design.program.dt).arrival)
            if any(p.source == p.target == node.name for p in paths(design.program)) and early > 0:
                yield (
                    f"schedule: spikes of {node.name!r} come back to it {format_seconds(early)} "
                    "of the chip's time sooner than in the model"
                )

    def _rate(self, design: Design) -> float:
        """The most events per second that input and biases send in any µs of the chip's time."""
        pairs = {(route.run, route.source) for route in design.routes if is_bias(route.source)}
        biases = Counter(run for run, _ in pairs)
        events = self.calibration.flatten(2).sum(2).double() + max(biases.values(), default=0)
        dt = self.pace.clock(design.program.dt).dt
        window = np.floor(np.arange(len(events)) * dt / WINDOW * (1 + 1e-9))
        within = torch.zeros(int(window[-1]) + 1, events.shape[1], dtype=torch.float64)
        within.index_add_(0, torch.from_numpy(window.astype(np.int64)), events)
        return float(within.max()) / WINDOW

    def _slot(self, design: Design, run: int) -> Slot:
        nodes = nodes_of(design, run)
        sources = (route.source for route in design.routes if route.run == run)
        inputs = tuple(dict.fromkeys(source for source in sources if source not in nodes))
        clock = self.pace.clock(design.program.dt)
        begin = times(design.program, nodes, clock).start
        seconds = clock.seconds(max(begin.values()), len(self.calibration))
        return Slot(run, nodes, inputs, seconds)


def _always(design: Design) -> Iterator[str]:
    """A sentence for each layer with a bias, for the cost counts none of its events."""
    for name in biased(design.program):
        yield (
            f"schedule: the bias of {name!r} is an event in every step; its "
            f"{size(design.program, name):,} synaptic operations a step are not in the cost"
        )


def nodes_of(design: Design, run: int) -> tuple[str, ...]:
    """The layers that have neurons in a run."""
    return tuple(dict.fromkeys(p.piece.node for p in design.places if p.piece.run == run))
