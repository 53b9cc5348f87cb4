"""The twin of a BrainScaleS-2 chip: runs what the chip would be given, shows what it would show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.errors import ParameterError
from spikewright.targets.brainscales2.chip import CIRCUITS, Configuration, Observations, Stimulus
from spikewright.targets.brainscales2.twin.check import check_configuration, check_stimulus
from spikewright.targets.brainscales2.twin.converter import (
    Converter,
    digitise,
    membrane_at,
    moments,
)
from spikewright.targets.brainscales2.twin.group import Traces
from spikewright.targets.brainscales2.twin.link import Link, jittered, passing
from spikewright.targets.brainscales2.twin.native import noise
from spikewright.targets.brainscales2.twin.parts import joined, part_of
from spikewright.targets.brainscales2.twin.truth import draw_truth
from spikewright.targets.brainscales2.twin.written import Written

LONGEST = 10e-3
"""Seconds that one sample may run."""
Fault = Literal["silent", "stuck"]


class Twin:
    """A twin of one chip; a `Chip`.

    Circuits follow the equations of `spikewright.targets.brainscales2.twin.circuit`, with values
    that lie around the nominal curves of `TRANSFER` by a fixed pattern that ``seed`` draws.
    Samples are independent of each other; equal configuration and stimulus give equal
    observations, whatever the number of threads.

    Args:
        seed: which chip.
        mismatch: relative spread of circuits at equal codes: of times and gains, and of potentials
            as a share of 50 LSB. Zero gives the nominal chip.
        noise: temporal noise, 1 for the usual: 1 LSB (standard deviation) of a resting membrane,
            and what ``converter`` and ``link`` state. Zero gives a chip without any.
        dt: internal time step, s.
        dead: circuits that cannot be used: ``"silent"`` ones never fire, the membranes of
            ``"stuck"`` ones do not move either.
        converter, link: see `Converter` and `Link`.

    Raises:
        ParameterError: an option outside its range.

    >>> Twin(seed=3).identity()["seed"]
    3
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        mismatch: float = 0.1,
        noise: float = 1.0,
        dt: float = 0.5e-6,
        dead: Mapping[int, Fault] | None = None,
        converter: Converter | None = None,
        link: Link | None = None,
    ) -> None:
        _check("mismatch", mismatch, 0 <= mismatch <= 1, "from 0 to 1")
        _check("noise", noise, 0 <= noise < math.inf, "zero or positive")
        _check("dt", dt, 10e-9 <= dt <= 10e-6, "from 10 ns to 10 µs")
        self.seed, self.mismatch, self.noise, self.dt = seed, mismatch, noise, dt
        self.dead = dict(dead or {})
        for circuit, fault in self.dead.items():
            _check("dead", self.dead, 0 <= circuit < CIRCUITS, f"circuits below {CIRCUITS}")
            _check("dead", self.dead, fault in ("silent", "stuck"), "'silent' or 'stuck' each")
        self.converter, self.link = converter or Converter(), link or Link()
        self.truth = draw_truth(seed, mismatch)
        self._latency = max(1, round(self.link.latency / dt))
        self._written = Written(self.truth, self.dead, noise, dt, self._latency)

    def identity(self) -> dict[str, Any]:
        """Plain facts: which chip, its internal step, periods, link and imperfections."""
        return {
            "kind": "BrainScaleS-2",
            "twin": True,
            "seed": self.seed,
            "dt": self.dt,
            "mismatch": self.mismatch,
            "noise": self.noise,
            "dead": {str(circuit): fault for circuit, fault in self.dead.items()},
            "converter": asdict(self.converter),
            "link": asdict(self.link) | {"latency": self._latency * self.dt},
            "longest": LONGEST,
        }

    def run(self, configuration: Configuration, stimulus: Stimulus) -> Observations:
        """Write what changed of the configuration, then run all samples, each from rest.

        Raises:
            DeviceError: the configuration cannot be written.
            ProgramError: the stimulus cannot be sent.
        """
        check_configuration(configuration)
        check_stimulus(stimulus, LONGEST)
        # Tensors are kept from run to run, whatever mode the caller is in.
        with torch.inference_mode(False), torch.no_grad():
            self._written.write(configuration)
            many = self._written.most_samples(stimulus.seconds)
            parts = [
                self._run(configuration, part_of(stimulus, first, first + many), first)
                for first in range(0, stimulus.samples, many)
            ]
        return joined(parts)

    def _run(self, c: Configuration, stimulus: Stimulus, first: int) -> Observations:
        """Run samples whose numbers begin with ``first``."""
        sent = passing(stimulus.time, stimulus.sample, self.link.rate_in)
        time, address, sample = stimulus.time[sent], stimulus.address[sent], stimulus.sample[sent]
        time = self._jittered((time, address, sample + np.int32(first)), stimulus, "way in")
        kept = replace(stimulus, time=time, address=address, sample=sample)
        traces = self._written.run(kept, first)
        time, circuit, sample, lost = self._record(traces, stimulus, first)
        sampled, fast = np.flatnonzero(c.sampled), np.array([c.fast_circuit], np.int64)
        slow = self._sample(traces, sampled, self.converter.period, stimulus, first)
        quick = self._sample(traces, fast[fast >= 0], self.converter.fast_period, stimulus, first)
        return Observations(
            time,
            circuit,
            sample,
            slow[1],
            slow[0],
            quick[1].reshape(-1, stimulus.samples),
            quick[0],
            (int(len(sent) - sent.sum()), lost),
            stimulus.samples * stimulus.seconds,
        )

    def _record(
        self, traces: Sequence[Traces], stimulus: Stimulus, first: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32], int]:
        """Spikes as the host gets them, in the order of samples and times, and how many it lost."""
        time, circuit, sample = map(np.concatenate, zip(*(t.events for t in traces), strict=True))
        kept = passing(time, sample, self.link.rate_out)
        lost = int(len(kept) - kept.sum())
        time, circuit, sample = time[kept], circuit[kept], sample[kept] + np.int32(first)
        time = self._jittered((time, circuit, sample), stimulus, "way out")
        order = np.lexsort((circuit, time, sample))
        return time[order], circuit[order], sample[order], lost

    def _jittered(
        self,
        events: tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]],
        stimulus: Stimulus,
        way: str,
    ) -> NDArray[np.float64]:
        spread = self.noise * self.link.jitter
        return jittered(events, spread, stimulus.seconds, stimulus.seed, way)

    def _sample(
        self,
        traces: Sequence[Traces],
        circuits: NDArray[np.int64],
        period: float,
        stimulus: Stimulus,
        first: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Times and samples of some circuits, (times, samples, circuits)."""
        times = moments(period, stimulus.seconds if len(circuits) else -1.0)
        levels = np.empty((len(times), stimulus.samples, len(circuits)), np.float32)
        for trace in traces:
            own = np.flatnonzero(np.isin(circuits, trace.circuits))
            columns = np.searchsorted(trace.circuits, circuits[own])
            levels[:, :, own] = membrane_at(times, trace, self.dt, columns)
        stuck = [n for n, c in enumerate(circuits.tolist()) if self.dead.get(c) == "stuck"]
        levels[:, :, stuck] = STUCK_LEVEL
        levels *= self.truth.read_gain[circuits].astype(np.float32)
        levels += self.truth.read_offset[circuits].astype(np.float32)
        amount = self.noise * self.converter.noise
        if amount:
            samples = range(first, first + stimulus.samples)
            name = f"converter of period {period!r}"
            levels += noise(stimulus.seed, name, amount, circuits, len(times), samples)
        return times, digitise(levels)


STUCK_LEVEL = 90.0
"""LSB; where the membrane of a stuck circuit is."""


def _check(name: str, value: object, holds: bool, rule: str) -> None:
    if not holds:
        raise ParameterError(
            f"brainscales2.Twin: {name} must be {rule}, got {value!r}. "
            "Leave it out for the usual chip."
        )
