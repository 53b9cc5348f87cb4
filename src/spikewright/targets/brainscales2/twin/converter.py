"""The analogue-to-digital converters: 8 bits, saturating, at a period of their own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import ParameterError
from spikewright.targets.brainscales2.twin.group import Traces

Single = NDArray[np.float32]
MOST_LEVEL = 255


@dataclass(frozen=True)
class Converter:
    """When and how well membranes are sampled.

    Args:
        period: between two samples of the parallel converter, which takes all circuits at once, s.
        fast_period: of the fast converter, which takes one circuit, s.
        noise: standard deviation of a sample, LSB.
    """

    period: float = 1.7e-6
    fast_period: float = 1 / 30e6
    noise: float = 0.5

    def __post_init__(self) -> None:
        for name in ("period", "fast_period", "noise"):
            value = getattr(self, name)
            if not (np.isfinite(value) and (value > 0 or (name == "noise" and value == 0))):
                raise ParameterError(
                    f"brainscales2.Converter: {name} must be positive, got {value!r}. "
                    "Leave it out for the usual one."
                )


def moments(period: float, seconds: float) -> NDArray[np.float64]:
    """The times of samples within a run, s, the first at its start; none before it."""
    number = math.floor(seconds / period * (1 + 1e-12)) + 1
    return period * np.arange(max(number, 0), dtype=np.float64)


def membrane_at(
    times: NDArray[np.float64], traces: Traces, dt: float, columns: NDArray[np.int64]
) -> Single:
    """Membranes at the times of the samples, (times, samples, columns).

    Linear between steps; a reset at the end of a step is not seen before it.

    Args:
        dt: s.
        columns: which circuits of the traces, ascending.
    """
    place = np.minimum(times / dt, len(traces.membrane))
    after = np.ceil(place - 1e-6).astype(np.int64)
    share = np.maximum(after - place, 0).astype(np.float32)[:, None, None]
    rest = traces.rest[columns]

    def rows(values: Single, step: NDArray[np.int64]) -> Single:
        taken = values[np.maximum(step - 1, 0)]
        return taken if len(columns) == values.shape[2] else taken[:, :, columns]

    before, later = rows(traces.membrane, after - 1), rows(traces.membrane, after)
    before[after < 2] = rest
    later[after == 0] = rest
    share = np.where(rows(traces.spikes, after) * share > 0, np.float32(1), share)
    return (later + share * (before - later)).astype(np.float32, copy=False)


def digitise(levels: Single) -> NDArray[np.uint8]:
    """8-bit samples of levels in LSB."""
    return np.clip(np.rint(levels), 0, MOST_LEVEL).astype(np.uint8)
