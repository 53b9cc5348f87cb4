"""What is written on the twin, and its circuits run over a batch of samples.

Nothing is derived again that follows from parts of a configuration which did not change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.targets.brainscales2.chip import CIRCUITS, Configuration, Stimulus
from spikewright.targets.brainscales2.transfer import ADAPTIVE, SWITCHES
from spikewright.targets.brainscales2.twin.circuit import make_circuits
from spikewright.targets.brainscales2.twin.crossbar import Crossbar, generations, make_crossbar
from spikewright.targets.brainscales2.twin.group import Arrivals, Group, Traces
from spikewright.targets.brainscales2.twin.truth import Truth

Array = NDArray[Any]
MOST_VALUES = 1 << 23
"""Numbers of one kind that are held at a time."""
_NEAR = 1e-6
"""Part of a step within which an event is at its start."""
_STRUCTURE = ("row_sign", "row_address", "neuron_address", "sampled")


class Written:
    """A configuration on the twin.

    Args:
        truth: how codes become values.
        dead: circuits that do not fire.
        noise: LSB.
        dt: s.
        latency: from the end of the step of a spike to the rows that listen to it, in steps.
    """

    def __init__(
        self, truth: Truth, dead: Mapping[int, str], noise: float, dt: float, latency: int
    ) -> None:
        self.truth, self.dead, self.noise = truth, dead, noise
        self.dt, self.latency = dt, latency
        self._kept: dict[str, Array] = {}
        self._crossbar: Crossbar
        self._places: list[NDArray[np.int64]] = []
        self._groups: list[Group] = []

    def write(self, configuration: Configuration) -> None:
        """Take over what changed."""
        c = configuration
        structure = {name: getattr(c, name) for name in _STRUCTURE}
        moved = self._changed({**structure, "fast": np.array(c.fast_circuit)})
        if moved:
            self._crossbar = make_crossbar(c)
        parts = {f"code {name}": value for name, value in c.codes.items()}
        parts |= {f"switch {name}": value for name, value in c.switches.items()}
        tuned = self._changed(parts, "code ", "switch ")
        if self._changed({"weights": c.weights}) | moved:
            drive = self._crossbar.drive(c.weights)
            places = generations(self._crossbar.reach(drive))
            regrouped = moved or not _same(places, self._places)
            if regrouped:
                self._places = places
                self._groups = [
                    Group(self._crossbar.part(p), self.dt, self.latency) for p in places
                ]
            for group, place in zip(self._groups, places, strict=True):
                group.connect(np.ascontiguousarray(drive[:, place]))
            tuned |= regrouped
        if tuned:
            for group in self._groups:
                group.circuits = make_circuits(*self._values(c, group.used), self.noise, self.dt)

    def _changed(self, parts: Mapping[str, Array], *prefixes: str) -> bool:
        """Whether any part differs from what was kept under its name, which it then replaces.

        Names with one of the prefixes that are no longer there count as well.
        """
        gone = [n for n in self._kept if n.startswith(prefixes or ("\n",)) and n not in parts]
        for name in gone:
            del self._kept[name]
        changed = bool(gone)
        for name, value in parts.items():
            kept = self._kept.get(name)
            if kept is None or not np.array_equal(kept, value):
                self._kept[name], changed = value.copy(), True
        return changed

    def _values(
        self, c: Configuration, used: NDArray[np.int64]
    ) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.bool_]]]:
        """Physical values and switches of some circuits."""
        zeros = np.zeros(CIRCUITS, np.int16)
        codes = {name: c.codes.get(name, zeros) for name in (*c.codes, *ADAPTIVE)}
        values = {name: value[used] for name, value in self.truth.physical(codes).items()}
        switches = {
            name: c.switches.get(name, np.full(CIRCUITS, on))[used] for name, on in SWITCHES.items()
        }
        switches["firing"] = switches["firing"] & ~np.isin(used, list(self.dead))
        return values, switches

    def most_samples(self, seconds: float) -> int:
        """How many samples are run at a time, for the memory that they take."""
        return max(1, MOST_VALUES // (self._steps(seconds) * len(self._crossbar.used)))

    def _steps(self, seconds: float) -> int:
        return math.ceil(seconds / self.dt * (1 - 1e-9))

    def run(self, stimulus: Stimulus, first: int) -> list[Traces]:
        """Run all samples from rest; the noise is that of samples from number ``first`` on.

        Circuits that only listen to others run after them, with their spikes as events.
        """
        samples, steps = range(first, first + stimulus.samples), self._steps(stimulus.seconds)
        arrivals, traces = [self._sent(stimulus)], list[Traces]()
        for group in self._groups:
            traces.append(group.run(arrivals, steps, samples, stimulus.seed, bool(self.noise)))
            arrivals.append(traces[-1].sent)
        return traces

    def _sent(self, stimulus: Stimulus) -> Arrivals:
        """The stimulus as it reaches the rows that listen to it."""
        source = self._crossbar.source[stimulus.address]
        heard = source >= 0
        place = stimulus.time[heard] / self.dt
        step = np.floor(place + _NEAR)
        late = np.where(place - step > _NEAR, place - step, 0.0).astype(np.float32)
        sample = stimulus.sample[heard].astype(np.int64)
        return Arrivals(step.astype(np.int64), sample, late, source[heard])


def _same(a: Sequence[Array], b: Sequence[Array]) -> bool:
    return len(a) == len(b) and all(map(np.array_equal, a, b))
