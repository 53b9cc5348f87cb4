"""Circuits that run side by side: those of one layer, or all that feed back on each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright.engine import trees
from spikewright.engine.products.events import events_for, look_for_events
from spikewright.engine.reference import Feedback
from spikewright.engine.scan import scan, scan_feedback
from spikewright.engine.wiring import Wiring
from spikewright.targets.brainscales2.twin.circuit import Circuits
from spikewright.targets.brainscales2.twin.crossbar import Crossbar
from spikewright.targets.brainscales2.twin.native import kernels, noise

Single = NDArray[np.float32]


class Arrivals(NamedTuple):
    """Events on their way to the rows that listen to them, one of each (events,).

    Args:
        step, sample: when and in which sample.
        late: the part of each that acts a step later, so that it arrives on average at its time.
        source: the place of its address among those that rows listen to.
    """

    step: NDArray[np.int64]
    sample: NDArray[np.int64]
    late: NDArray[np.float32]
    source: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Traces:
    """What happened in a group.

    Args:
        circuits: which ones, ascending, (n,).
        membrane, spikes: after each step, (steps, samples, n), LSB; rest: before the first, (n,).
        events: spikes of circuits with an address: time (s), circuit and sample of each.
        sent: those spikes that rows listen to.
    """

    circuits: NDArray[np.int64]
    membrane: Single
    spikes: Single
    rest: Single
    events: tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]]
    sent: Arrivals


class Group:
    """Some circuits and what reaches them.

    Args:
        crossbar: the part of the crossbar that holds these circuits.
        dt: s.
        latency: from the end of the step of a spike to the rows that listen to it, in steps.
    """

    circuits: Circuits

    def __init__(self, crossbar: Crossbar, dt: float, latency: int) -> None:
        self.crossbar, self.dt, self.latency = crossbar, dt, latency
        self.used = crossbar.used
        self._drive: Single
        self._feedback: Tensor | None = None

    def connect(self, drive: Single) -> None:
        """Take over the weights; ``drive`` as `Crossbar.drive` gives it."""
        feedback = self.crossbar.feedback(drive)
        self._drive = drive.reshape(len(drive), 2 * len(self.used))
        self._feedback = None if feedback is None else torch.from_numpy(feedback)

    def run(
        self, arrivals: Sequence[Arrivals], steps: int, samples: range, seed: int, noisy: bool
    ) -> Traces:
        """Run all samples from rest, for so many steps."""
        inputs: Any = torch.from_numpy(self._arrived(arrivals, steps, len(samples)))
        if noisy:
            xi = noise(seed, "membrane", 1.0, self.used, steps, samples)
            inputs = (inputs, torch.from_numpy(xi))
        with events_for(True):
            spikes, membrane = self._scan(inputs, len(samples))
        return self._traces(spikes, membrane)

    def _arrived(self, arrivals: Sequence[Arrivals], steps: int, samples: int) -> Single:
        """What events add to the synaptic currents, (steps, samples, n, 2), weight codes."""
        out = np.zeros((steps, samples, 2 * len(self.used)), np.float32)
        for events in arrivals:
            kernels().deliver(*events, self._drive, out)
        return out.reshape(steps, samples, len(self.used), 2)

    def _scan(self, inputs: Any, samples: int) -> tuple[Tensor, Tensor]:
        step, c, state = self.circuits
        n, latency = len(self.used), self.latency
        state = trees.map_leaves(lambda s: s.expand(samples, *s.shape), state)
        if self._feedback is None:
            (spikes, membrane), _ = scan(step, inputs, state, c, features=(n,))
            return spikes, membrane
        past = torch.zeros(1 + latency, samples, n, dtype=torch.float32)
        waits = torch.full((n,), latency)
        wiring = Wiring(self._feedback, None, waits, past)
        feedback = Feedback(_in_the_kernel, past[-1], None, wiring)
        (spikes, membrane), _, _ = scan_feedback(step, inputs, state, c, feedback, features=(n,))
        return spikes, membrane

    def _traces(self, spikes: Tensor, membrane: Tensor) -> Traces:
        events = look_for_events(spikes)
        assert events is not None
        row = np.repeat(np.arange(events.rows), np.diff(events.indptr))
        step, sample = np.divmod(row, spikes.shape[1])
        source, addressed = (
            self.crossbar.senders[events.index],
            self.crossbar.addressed[events.index],
        )
        circuit = self.used[events.index[addressed]].astype(np.int32)
        shown = (step[addressed] + 1) * self.dt, circuit, sample[addressed].astype(np.int32)
        heard = source >= 0
        late = np.zeros(int(heard.sum()), np.float32)
        sent = Arrivals(step[heard] + 1 + self.latency, sample[heard], late, source[heard])
        rest = self.circuits.state.neuron.v.numpy()
        return Traces(self.used, membrane.numpy(), spikes.numpy(), rest, shown, sent)


def _in_the_kernel(*_: Any) -> Any:
    """The wiring says what the connection does."""
    raise NotImplementedError
