"""The arithmetic of the units, step by step of the spike trains."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spikewright.targets.fpga.instructions import Setting
from spikewright.targets.fpga.machine import Machine
from spikewright.targets.fpga.memory import Whole

S = Setting
Spikes = NDArray[np.uint8]


def accumulated(machine: Machine, kernel: Whole) -> Whole:
    """m <- 2 m + sum of the kernel's weights with a spike, (batch, units, rows, columns).

    Args:
        machine: with the settings of the run.
        kernel: (taps, units), taps in the order channel, kernel row, kernel column.
    """
    # Whole numbers below 2^52 are exact in float64, whose matrix product is the fast one.
    weight = kernel.astype(np.float64)
    m: NDArray[np.float64] | None = None
    for spikes in _steps(machine):
        added = np.moveaxis(spikes, 2, -1).astype(np.float64) @ weight
        m = added if m is None else 2 * m + added
    assert m is not None
    return np.moveaxis(m, -1, 1).astype(np.int64)


def maxima(machine: Machine) -> Whole:
    """The largest of each window, found from the first bit on, (batch, rows, columns).

    A position of the window that has no spike where another one, still in question, has one
    cannot hold the maximum.
    """
    alive: Spikes | None = None
    value: Whole | None = None
    for spikes in _steps(machine):
        if alive is None or value is None:
            alive = np.ones_like(spikes)
            value = np.zeros(spikes[:, :, 0].shape, np.int64)
        among = alive & spikes
        found: NDArray[np.bool_] = np.any(among, axis=2, keepdims=True)
        alive = np.where(found, among, alive)
        value = 2 * value + found[:, :, 0]
    assert value is not None
    return value


def linear(machine: Machine, weight: Whole) -> Whole:
    """Sums (batch, outputs) of a fully connected layer, weight (features, outputs)."""
    steps, columns = machine[S.STEPS], machine[S.COLUMNS_IN]
    features = machine[S.FEATURES]
    rows = np.arange(-(-features // columns))
    m = np.zeros((len(machine.q), weight.shape[1]))
    for step in range(steps):
        words = machine.read(machine[S.SOURCE] + rows * steps + step)
        spikes = words[:, :, :columns].reshape(len(words), -1)[:, :features]
        m = 2 * m + spikes.astype(np.float64) @ weight.astype(np.float64)
    return m.astype(np.int64)


def _steps(machine: Machine) -> Iterator[Spikes]:
    """Of each step, the spikes that the lanes see, (batch, rows, taps, columns)."""
    channels, kernel_rows = machine[S.CHANNELS], machine[S.KERNEL_ROWS]
    y = np.arange(machine[S.ROWS_OUT])[:, None, None]
    c, i = np.arange(channels)[:, None], np.arange(kernel_rows)
    address = machine[S.SOURCE] + machine[S.ROW_START] + y * machine[S.ROW_STEP]
    address = address + c * machine[S.CHANNEL_STEP] + i * machine[S.STEPS]
    row = y * machine[S.STRIDE_ROWS] - machine[S.PAD_ROWS] + i + 0 * c
    there = ((row >= 0) & (row < machine[S.ROWS_IN])).astype(np.uint8)
    columns = _columns(machine)
    for step in range(machine[S.STEPS]):
        words = machine.read(address + step) * there[..., None]
        # A row with a column of 0 at its end, where all that is outside is looked up.
        words = np.concatenate([words, np.zeros((*words.shape[:-1], 1), np.uint8)], -1)
        seen = words[..., columns]
        yield seen.reshape(len(words), len(y), -1, columns.shape[1])


def _columns(machine: Machine) -> Whole:
    """Which column of a word a lane sees, (kernel columns, output columns); -1 is none."""
    d = machine.dimensions
    x = np.arange(machine[S.COLUMNS_OUT])
    shift = machine[S.OFFSET] + x // d.lanes * machine[S.TILE_STEP] - d.pad
    column = shift + x % d.lanes * machine[S.STRIDE_COLUMNS]
    column = column + np.arange(machine[S.KERNEL_COLUMNS])[:, None]
    return np.where((column >= 0) & (column < d.word), column, -1)
