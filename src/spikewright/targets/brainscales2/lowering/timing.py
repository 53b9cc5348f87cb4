"""When the steps of a network happen on the chip.

The membrane of a layer after step n belongs to the chip's moment ``start + (n + 1) dt``, and its
spikes of step n to the dt before it. A spike of step n of the input is sent at ``lead + n dt``.
Where inside its step a neuron of the chip fires is open, so that on average its spike sets out half
a step before the step's end; the layer that it reaches starts such that it arrives when that
layer's order of update wants it, ``arrival`` steps after the start of its step:

    start = lead + latency_in - arrival dt                                  after the host
    start = start of the source + dt / 2 + latency - arrival dt             after a layer
    (plus half the resolution of the chip's spikes, where that is not fine)

A bias is a spike in every step, sent such that it arrives when the layer wants it. A run is late
by ``lead`` where one would otherwise have to be sent before the sample begins.

For the same reason a circuit's reset comes half a step early, which a refractory period longer
by dt / 2 makes good. Spikes that come back to their own layer arrive ``(arrival + 1 / 2) dt -
latency`` too early, for nothing on the chip can hold them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.compiler.design import bias_of
from spikewright.compiler.discrete import DiscreteProgram
from spikewright.targets.brainscales2.lowering.response import response
from spikewright.targets.brainscales2.lowering.wiring import biased, layers, paths


@dataclass(frozen=True)
class Clock:
    """How network time passes on the chip; all in s of the chip's time.

    Args:
        dt: that a step takes.
        latency_in: from the host to a synapse; latency: from a circuit to a synapse.
        resolution: of the times of spikes: a spike that is recorded at t was fired half of it
            earlier on average. That of a twin is its internal step.
        period: of the parallel converter.
    """

    dt: float
    latency_in: float = 0.0
    latency: float = 0.0
    resolution: float = 0.0
    period: float = 0.0

    @property
    def early_reset(self) -> float:
        """How long before the end of a step a circuit resets, on average; as far as resolved."""
        early = max(0.0, (self.dt - self.resolution) / 2)
        if not self.resolution:
            return early
        return self.resolution * math.floor(early / self.resolution + 0.5 + 1e-9)

    def early_return(self, arrival: int) -> float:
        """How much sooner than in the model a spike reaches its own layer, on average."""
        return (arrival + 0.5) * self.dt - self.resolution / 2 - self.latency

    def ends(self, start: float, steps: int) -> NDArray[np.float64]:
        """The ends of a layer's steps, (steps,), s."""
        return start + self.dt * np.arange(1, steps + 1, dtype=np.float64)

    def seconds(self, latest: float, steps: int) -> float:
        """How long a sample runs if its last layer starts at ``latest``.

        To the end of the last step, and until the converter has come round once more.
        """
        return max(latest, 0.0) + steps * self.dt + max(self.period, self.dt)


@dataclass(frozen=True)
class Pace:
    """A clock for networks of any dt.

    Args:
        acceleration: network time over the chip's time.
        latency_in, latency, resolution, period: as of a `Clock`.
    """

    acceleration: float = 1.0
    latency_in: float = 0.0
    latency: float = 0.0
    resolution: float = 0.0
    period: float = 0.0

    @staticmethod
    def of(identity: Mapping[str, Any], acceleration: float = 1.0) -> Pace:
        """From what a chip says of itself."""
        link, converter = identity.get("link", {}), identity.get("converter", {})
        resolution = float(identity.get("dt", 0.0)) if identity.get("twin") else 0.0
        before, inside = (float(link.get(name, 0.0)) for name in ("latency_in", "latency"))
        period = float(converter.get("period", 0.0))
        return Pace(acceleration, before, inside, resolution, period)

    def clock(self, dt: float) -> Clock:
        """For a network's dt, s."""
        rest = (self.latency_in, self.latency, self.resolution, self.period)
        return Clock(dt / self.acceleration, *rest)


@dataclass(frozen=True)
class Times:
    """When things begin in a run, s of the chip's time from the start of the sample.

    Args:
        start: by layer, of its first step.
        sent: by source that the host sends, of the events of its first step.
    """

    start: Mapping[str, float]
    sent: Mapping[str, float]


def times(program: DiscreteProgram, together: Sequence[str], clock: Clock) -> Times:
    """When the layers of one run start, and what the host sends to them.

    A layer with several sources starts after the last one.

    Args:
        together: names of the layers that run at the same time.
    """
    reached: dict[str, float] = {}  # when a spike of a layer's first step has to arrive
    start: dict[str, float] = {}
    heard: dict[str, None] = {}
    for node in layers(program):
        if node.name not in together:
            continue
        sources = {p.source: None for p in paths(program) if p.target == node.name}
        way = clock.dt / 2 + clock.resolution / 2 + clock.latency
        after = [start[source] + way for source in sources if source in start]
        reached[node.name] = max(after, default=clock.latency_in)
        start[node.name] = reached[node.name] - response(node, program.dt).arrival * clock.dt
        heard |= sources
    sent = dict.fromkeys((source for source in heard if source not in together), 0.0)
    sent |= {bias_of(n): reached[n] - clock.latency_in for n in biased(program) if n in reached}
    lead = max(0.0, -min(sent.values(), default=0.0))
    start, sent = ({name: time + lead for name, time in it.items()} for it in (start, sent))
    return Times(start, sent)
