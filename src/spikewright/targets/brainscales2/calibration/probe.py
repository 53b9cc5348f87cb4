"""Runs of a chip for measuring: all circuits side by side, none connected to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright import seeding
from spikewright.targets.brainscales2.chip import (
    BLOCKS,
    CIRCUITS,
    COLUMNS,
    MOST_WEIGHT,
    ROWS,
    Chip,
    Configuration,
    Observations,
    Stimulus,
)

Floats = NDArray[np.float64]
Codes = NDArray[np.int16]
_SHARE = 2
"""Circuits run in groups so small that all of one could send as many spikes in each µs."""
_MOST = 128
_INPUT = 0
"""The address of the stimulus; circuits have those above."""


@dataclass(frozen=True, eq=False)
class Pulses:
    """One event in each sample.

    Args:
        time: of the event in each sample, s.
        weight: sum of the weight codes that it meets in each circuit, (circuits,).
        sign: 1 excitatory, -1 inhibitory.
    """

    time: Floats
    weight: NDArray[np.int64]
    sign: int


@dataclass(frozen=True, eq=False)
class Shown:
    """What a run showed of all circuits.

    Args:
        time: of the samples, s, (moments,).
        level: float32 (moments, samples, circuits), LSB; NaN where the converter saturated.
        spike_time, spike_sample, spike_circuit: in the order of circuit, sample and time.
    """

    time: Floats
    level: NDArray[np.float32]
    spike_time: Floats
    spike_sample: NDArray[np.int32]
    spike_circuit: NDArray[np.int32]


class Probe:
    """A chip under measurement, with the codes found so far.

    Args:
        chip: used through `Chip.run` alone.
        codes: int16 (circuits,) by name; changed as the calibration goes on.
        seed: of the noise of a twin, another one for each run.
    """

    def __init__(self, chip: Chip, codes: dict[str, Codes], seed: int) -> None:
        self.chip, self.codes, self.seed, self.runs = chip, codes, seed, 0
        identity = chip.identity()
        self.period = float(identity["converter"]["period"])
        self.group = max(1, min(_MOST, int(identity["link"]["rate_out"]) // _SHARE))

    def show(
        self,
        seconds: float,
        samples: int,
        codes: Mapping[str, Codes],
        *,
        firing: bool,
        pulses: Pulses | None = None,
    ) -> Shown:
        """Run ``samples`` samples; ``codes`` replace those found so far, for this run."""
        used = {**self.codes, **codes}
        parts = [
            self._run(range(first, first + self.group), seconds, samples, firing, pulses, used)
            for first in range(0, CIRCUITS, self.group)
        ]
        levels = np.concatenate([part.membrane for part in parts], axis=2).astype(np.float32)
        levels[(levels == 0) | (levels == 255)] = np.nan
        spikes = [
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("spike_time", "spike_sample", "spike_circuit")
        ]
        order = np.lexsort(spikes)
        return Shown(parts[0].membrane_time, levels, *(values[order] for values in spikes))

    def _run(
        self,
        group: range,
        seconds: float,
        samples: int,
        firing: bool,
        pulses: Pulses | None,
        codes: dict[str, Codes],
    ) -> Observations:
        member = np.isin(np.arange(CIRCUITS), list(group))
        address = np.where(member & firing, np.arange(CIRCUITS) + 1 + _INPUT, -1)
        configuration = Configuration(
            *_rows(pulses),
            address.astype(np.int32),
            codes,
            {"firing": np.full(CIRCUITS, firing)},
            member,
        )
        self.runs += 1
        seed = seeding.derive(self.seed, "calibration", self.runs)
        return self.chip.run(configuration, _stimulus(pulses, samples, seconds, seed))


def _stimulus(pulses: Pulses | None, samples: int, seconds: float, seed: int) -> Stimulus:
    number = 0 if pulses is None else samples
    time = np.empty(0) if pulses is None else pulses.time
    sample = np.arange(number, dtype=np.int32)
    address = np.full(number, _INPUT, np.int32)
    return Stimulus(time, address, sample, samples, seconds, seed)


def _rows(pulses: Pulses | None) -> tuple[Any, Any, Any]:
    """Weights, signs and addresses of the rows that carry a pulse."""
    weights = np.zeros((BLOCKS, ROWS, COLUMNS), np.uint8)
    sign, address = np.zeros((BLOCKS, ROWS), np.int8), np.full((BLOCKS, ROWS), -1, np.int32)
    if pulses is not None:
        left = pulses.weight.reshape(BLOCKS, COLUMNS)
        for row in range(-(-int(left.max()) // MOST_WEIGHT)):
            weights[:, row] = np.clip(left - row * MOST_WEIGHT, 0, MOST_WEIGHT)
            sign[:, row], address[:, row] = pulses.sign, _INPUT
    return weights, sign, address
