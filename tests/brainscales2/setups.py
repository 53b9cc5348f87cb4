"""Small configurations and stimuli for tests of the chip's twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikewright.targets.brainscales2.calibration import nominal
from spikewright.targets.brainscales2.chip import (
    BLOCKS,
    CIRCUITS,
    COLUMNS,
    ROWS,
    Configuration,
    Observations,
    Stimulus,
)
from spikewright.targets.brainscales2.settings import same_for_all
from spikewright.targets.brainscales2.twin import Converter, Link, Twin

QUIET: dict[str, Any] = {"mismatch": 0.0, "noise": 0.0}
"""Options of a twin that is the nominal chip without noise."""


def configure(
    rows: Sequence[tuple[int, int, int, Mapping[int, int]]] = (),
    *,
    addresses: Mapping[int, int] | None = None,
    sampled: Sequence[int] = (),
    switches: Mapping[str, bool] | None = None,
    fast: int = -1,
    **wanted: float,
) -> Configuration:
    """A configuration with the same codes in all circuits.

    Args:
        rows: (row, sign, address, weight by circuit), in the blocks of those circuits.
        addresses: by circuit.
        wanted: see `same_for_all`.
    """
    weights = np.zeros((BLOCKS, ROWS, COLUMNS), np.uint8)
    sign, address = np.zeros((BLOCKS, ROWS), np.int8), np.full((BLOCKS, ROWS), -1, np.int32)
    for row, direction, source, columns in rows:
        for circuit, weight in columns.items():
            block, column = divmod(circuit, COLUMNS)
            weights[block, row, column] = weight
            sign[block, row], address[block, row] = direction, source
    sent = np.full(CIRCUITS, -1, np.int32)
    for circuit, own in (addresses or {}).items():
        sent[circuit] = own
    shown = np.zeros(CIRCUITS, np.bool_)
    shown[list(sampled)] = True
    flags = {name: np.full(CIRCUITS, on) for name, on in (switches or {}).items()}
    codes = dict(nominal(same_for_all(**wanted)).codes)
    return Configuration(weights, sign, address, sent, codes, flags, shown, fast)


def events(*times: Sequence[tuple[float, int]], seconds: float = 60e-6, seed: int = 0) -> Stimulus:
    """One sample for each argument: its events as (time in s, address)."""
    flat = [(time, address, n) for n, sample in enumerate(times) for time, address in sample]
    return Stimulus(
        np.array([time for time, _, _ in flat], np.float64),
        np.array([address for _, address, _ in flat], np.int32),
        np.array([n for _, _, n in flat], np.int32),
        len(times),
        seconds,
        seed,
    )


def values(twin: Twin, configuration: Configuration) -> dict[str, np.ndarray[Any, Any]]:
    """The values behind the codes, as each circuit's converter would show them."""
    return twin.truth.seen(configuration.codes)


def spikes_of(observed: Observations, circuit: int, sample: int = 0) -> np.ndarray[Any, Any]:
    """The recorded spike times of a circuit in a sample, s."""
    wanted = (observed.spike_circuit == circuit) & (observed.spike_sample == sample)
    return observed.spike_time[wanted]


__all__ = ["QUIET", "Converter", "Link", "Twin", "configure", "events", "spikes_of", "values"]
