"""When the steps of a network happen on the chip.

The membrane of a layer after step n belongs to the chip's moment ``start + (n + 1) dt``, and its
spikes of step n to the dt before it. A spike of step n of the input is sent at ``n dt``. Where
inside its step a neuron of the chip fires is open, so that on average its spike sets out half a
step before the step's end; the layer that it reaches starts such that it arrives when that
layer's order of update wants it, ``arrival`` steps after the start of its step:

    start = latency_in - arrival dt                                         after the host
    start = start of the source + dt / 2 + latency - arrival dt             after a layer
    (plus half the resolution of the chip's spikes, where that is not fine)

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

from spikewright.compiler.discrete import DiscreteProgram
from spikewright.targets.brainscales2.response import response
from spikewright.targets.brainscales2.wiring import layers, paths


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


def starts(program: DiscreteProgram, together: Sequence[str], clock: Clock) -> dict[str, float]:
    """When the layers of one run start, s of the chip's time from the start of the sample.

    A layer with several sources starts after the last one.

    Args:
        together: names of the layers that run at the same time.
    """
    found: dict[str, float] = {}
    for node in layers(program):
        if node.name not in together:
            continue
        sources = {p.source for p in paths(program) if p.target == node.name}
        way = clock.dt / 2 + clock.resolution / 2 + clock.latency
        after = [found[source] + way for source in sources if source in found]
        arrival = response(node, program.dt).arrival * clock.dt
        found[node.name] = max(after, default=clock.latency_in) - arrival
    return found
