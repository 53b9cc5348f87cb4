"""Weights of a network as what stands in the synapses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright.compiler.design import Route
from spikewright.targets.brainscales2.chip import (
    BLOCKS,
    COLUMNS,
    MOST_WEIGHT,
    ROWS,
)
from spikewright.targets.brainscales2.lowering.plan import Seat

Array = NDArray[np.int64]


def signed_codes(weight: NDArray[np.float64], scale: float) -> tuple[Array, int]:
    """Weights as whole numbers from -63 to 63, and how many lay beyond.

    Rounded to the nearest, halves away from zero.

    >>> signed_codes(np.array([0.5, -1.5, 70.0]), 1.0)
    (array([ 1, -2, 63]), 1)
    """
    codes = np.trunc(weight * scale + np.copysign(0.5, weight)).astype(np.int64)
    beyond = int((np.abs(codes) > MOST_WEIGHT).sum())
    return np.clip(codes, -MOST_WEIGHT, MOST_WEIGHT), beyond


def rows_of(routes: Sequence[Route]) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Sign and address of every row, int8 and int32 (blocks, rows)."""
    signs = np.zeros((BLOCKS, ROWS), dtype=np.int8)
    addresses = np.full((BLOCKS, ROWS), -1, dtype=np.int32)
    for route in routes:
        for sign, rows in zip((1, -1), np.split(route.rows, 2, axis=1), strict=True):
            on = rows >= 0
            signs[route.core, rows[on]] = sign
            spread = np.broadcast_to(route.addresses[:, None], rows.shape)
            addresses[route.core, rows[on]] = spread[on]
    return signs, addresses


def write_codes(weights: NDArray[np.uint8], codes: Array, route: Route, seat: Seat) -> None:
    """Put the codes of one source for one layer into the synapses of a block.

    Args:
        weights: (blocks, rows, columns), changed in place.
        codes: (targets, sources), those of the whole layer.
    """
    here = seat.circuits // COLUMNS == route.core
    columns, mine = seat.circuits[here] % COLUMNS, codes[seat.neurons[here]]
    for sign, rows in zip((1, -1), np.split(route.rows, 2, axis=1), strict=True):
        part = np.maximum(sign * mine, 0).astype(np.uint8).T
        for one in rows.T:
            heard = one >= 0
            weights[route.core, one[heard][:, None], columns[None, :]] = part[heard]
