"""A chip that computes next to nothing, and its configurations and stimuli."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from spikewright.errors import ProgramError
from spikewright.targets.brainscales2.chip import (
    CIRCUITS,
    Configuration,
    Observations,
    Stimulus,
)


class FakeChip:
    """Shows numbers that depend on every part of the configuration and of the stimulus.

    A run takes ``seconds`` at least, and lasts while ``gate`` is not set.
    """

    def __init__(self, seed: int = 1, seconds: float = 0.0) -> None:
        self.seed, self.seconds = seed, seconds
        self.gate = threading.Event()
        self.gate.set()
        self.runs: list[tuple[Configuration, Stimulus]] = []
        self.at_work = self.most_at_work = 0

    def identity(self) -> dict[str, Any]:
        return {"chip": "fake", "seed": self.seed, "period": 1.7e-6}

    def run(self, configuration: Configuration, stimulus: Stimulus) -> Observations:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        time.sleep(self.seconds)
        assert self.gate.wait(30)
        self.runs.append((configuration, stimulus))
        if stimulus.seed == 666:
            raise ProgramError("fake: seed must not be 666, got 666. Choose another.")
        if stimulus.seed == 13:
            raise ZeroDivisionError("dead circuit")
        self.at_work -= 1
        return observed(configuration, stimulus, self.seed)


def observed(c: Configuration, s: Stimulus, seed: int) -> Observations:
    """What the chip of that seed shows."""
    total = float(c.weights.astype(np.float64).sum()) + 0.1 * sum(
        float(c.codes[name].sum()) for name in sorted(c.codes)
    )
    draw = np.random.default_rng([seed, s.seed, c.fast_circuit + 1, s.time.size])
    circuits = int(c.sampled.sum())
    spikes = s.time + draw.random(s.time.size) + total
    return Observations(
        spike_time=spikes,
        spike_circuit=draw.integers(0, CIRCUITS, s.time.size, np.int32),
        spike_sample=s.sample.copy(),
        membrane=draw.integers(0, 256, (35, s.samples, circuits), np.uint8),
        membrane_time=np.arange(35) * 1.7e-6,
        fast=np.empty((0, s.samples), np.uint8),
        fast_time=np.empty(0),
        lost=(3, int(total) % 7),
        seconds=s.samples * s.seconds,
    )


def configuration(seed: int = 0, **changes: Any) -> Configuration:
    """A configuration with every part drawn at random."""
    draw = np.random.default_rng(seed)
    parts: dict[str, Any] = {
        "weights": draw.integers(0, 64, (2, 256, 256), np.uint8),
        "row_sign": draw.integers(-1, 2, (2, 256), np.int8),
        "row_address": draw.integers(-1, 99, (2, 256), np.int32),
        "neuron_address": draw.integers(-1, 99, CIRCUITS, np.int32),
        "codes": {name: draw.integers(0, 1023, CIRCUITS, np.int16) for name in ("v_leak", "b")},
        "switches": {"leak": draw.random(CIRCUITS) < 0.5},
        "sampled": draw.random(CIRCUITS) < 0.25,
        "fast_circuit": 7,
    }
    return Configuration(**(parts | changes))


def stimulus(seed: int = 0, events: int = 375, samples: int = 75, **changes: Any) -> Stimulus:
    """Events at random times."""
    draw = np.random.default_rng(seed)
    parts: dict[str, Any] = {
        "time": draw.random(events) * 60e-6,
        "address": draw.integers(0, 9, events, np.int32),
        "sample": np.sort(draw.integers(0, samples, events, np.int32)),
        "samples": samples,
        "seconds": 60e-6,
        "seed": seed,
    }
    return Stimulus(**(parts | changes))


def assert_same(a: Observations, b: Observations) -> None:
    """Bit for bit, types included."""
    for name in ("spike_time", "spike_circuit", "spike_sample", "membrane", "membrane_time",
                 "fast", "fast_time"):  # fmt: skip
        one, other = getattr(a, name), getattr(b, name)
        assert (one.dtype, one.shape) == (other.dtype, other.shape), name
        assert one.tobytes() == other.tobytes(), name
    assert (a.lost, a.seconds) == (b.lost, b.seconds)
    assert isinstance(a.lost, tuple)
