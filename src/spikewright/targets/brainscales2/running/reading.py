"""From what the chip shows to spikes and membranes on a network's grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.targets.brainscales2.chip import CIRCUITS, Observations
from spikewright.targets.brainscales2.lowering.plan import Seat
from spikewright.targets.brainscales2.lowering.timing import Clock

Single = NDArray[np.float32]
MOST_LEVEL = 255


def add_spikes(into: Single, seen: Observations, seat: Seat, clock: Clock) -> None:
    """Count the spikes of a seat's neurons in each step; those outside all steps are left out.

    Args:
        into: (time, batch, neurons of the layer), added to.
    """
    place = np.full(CIRCUITS, -1)
    place[seat.circuits] = seat.neurons
    neuron = place[seen.spike_circuit]
    fired = seen.spike_time - clock.resolution / 2
    step = np.ceil((fired - seat.start) / clock.dt).astype(np.int64) - 1
    kept = (neuron >= 0) & (step >= 0) & (step < len(into))
    where = np.ravel_multi_index((step[kept], seen.spike_sample[kept], neuron[kept]), into.shape)
    np.add.at(into.reshape(-1), where, 1)


def put_samples(
    into: Single, seen: Observations, columns: NDArray[np.int64], seat: Seat, clock: Clock
) -> None:
    """Put each sample of a seat's membranes into the step whose end is nearest.

    Args:
        into: (time, batch, neurons of the layer), of NaN; in the units of the model.
        columns: where among the sampled circuits those of the seat are.
    """
    place = (seen.membrane_time - seat.start) / clock.dt
    step = np.rint(place).astype(np.int64) - 1
    kept = np.flatnonzero((step >= 0) & (step < len(into)))
    nearest_last = kept[np.argsort(-np.abs(place - step - 1)[kept], kind="stable")]
    where = _span(seat.neurons)
    for moment in nearest_last:
        into[step[moment], :, where] = _units(seen.membrane[moment][:, _span(columns)], seat)


def put_interpolated(
    into: Single, seen: Observations, columns: NDArray[np.int64], seat: Seat, clock: Clock
) -> None:
    """Put the membranes of a seat at the end of each step, between samples by cubics.

    A straight line between samples would cut off the peaks that a readout is decided by.

    Args:
        into, columns: as of `put_samples`.
    """
    weights = cubic_weights(seen.membrane_time, clock.ends(seat.start, len(into)))
    levels = _units(seen.membrane[:, :, _span(columns)], seat)
    into[:, :, _span(seat.neurons)] = np.tensordot(weights.astype(np.float32), levels, 1)


def cubic_weights(times: NDArray[np.float64], moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each sample counts for the value at each moment, (moments, times).

    Through the samples at both sides of a moment, with the slope between their neighbours (Catmull
    and Rom, 1974); outside of all samples the value is that of the nearest one.

    Args:
        times: of the samples, at equal distances, ascending.

    >>> cubic_weights(np.arange(4.0), np.array([1.0, 1.5, 9.0])).tolist()
    [[0.0, 1.0, 0.0, 0.0], [-0.0625, 0.5625, 0.5625, -0.0625], [0.0, 0.0, 0.0, 1.0]]
    """
    last = len(times) - 1
    place = np.clip((moments - times[0]) / (times[min(1, last)] - times[0] or 1.0), 0, last)
    before = np.floor(place).astype(np.int64)
    t = place - before
    parts = (
        (t * (2 - t) - 1) * t,
        (3 * t - 5) * t * t + 2,
        ((4 - 3 * t) * t + 1) * t,
        (t - 1) * t * t,
    )
    weights = np.zeros((len(moments), len(times)))
    for offset, part in enumerate(parts, start=-1):
        column = np.clip(before + offset, 0, last)
        np.add.at(weights, (np.arange(len(moments)), column), part / 2)
    return weights


def saturated(seen: Observations, columns: NDArray[np.int64]) -> int:
    """How many samples are at an end of the converter's range."""
    levels = seen.membrane[:, :, _span(columns)]
    return int(np.count_nonzero(levels == 0) + np.count_nonzero(levels == MOST_LEVEL))


def _span(index: NDArray[np.int64]) -> Any:
    """The same places as a slice where they are neighbours, which needs no copy."""
    first = int(index[0])
    neighbours = np.array_equal(index, np.arange(first, first + len(index)))
    return slice(first, first + len(index)) if neighbours else index


def _units(levels: NDArray[np.uint8], seat: Seat) -> Single:
    """Levels of the converter as potentials of the model."""
    zero, per_unit = (v.astype(np.float32) for v in (seat.zero, seat.per_unit))
    return (levels - zero) / per_unit
