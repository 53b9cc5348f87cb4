"""The arithmetic of the units, step by step of the spike trains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.targets.fpga.instructions import Setting
from spikewright.targets.fpga.machine import Machine
from spikewright.targets.fpga.memory import Whole

S = Setting
Spikes = NDArray[Any]


def accumulated(machine: Machine, kernel: Whole) -> Whole:
    """m <- 2 m + sum of the kernel's weights with a spike, (batch, units, rows, columns).

    In a rate code, whose spikes all count the same, m is not doubled.

    Args:
        machine: with the settings of the run.
        kernel: (taps, units), taps in the order channel, kernel row, kernel column.
    """
    seen = machine.kept_or_made(unfolded)
    steps, *places, taps = seen.shape
    added = seen.reshape(-1, taps) @ kernel.astype(seen.dtype)
    m, *rest = added.reshape(steps, *places, -1)
    for each in rest:
        m = machine.base * m + each
    return np.moveaxis(m, -1, 1).astype(np.int64)


def unfolded(machine: Machine) -> Spikes:
    """What the lanes see of all steps, (steps, batch, rows, columns, taps), 0.0 or 1.0.

    Sums of whole numbers are exact in these formats, whose matrix product is the fast one.
    """
    exact = np.float32 if machine.dimensions.sum <= 25 else np.float64  # 24 and the sign
    return np.stack([np.moveaxis(spikes, 2, -1).astype(exact) for spikes in _steps(machine)])


def maxima(machine: Machine) -> Whole:
    """The largest of each window, found from the first bit on, (batch, rows, columns).

    A position of the window that has no spike where another one, still in question, has one
    cannot hold the maximum. Trains of a rate code are part of one another: there too.
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
        value = machine.base * value + found[:, :, 0]
    assert value is not None
    return value


def linear(machine: Machine, weight: Whole) -> Whole:
    """Sums (batch, outputs) of a fully connected layer, weight (features, outputs)."""
    m, exact = np.zeros((len(machine.q), weight.shape[1])), weight.astype(np.float64)
    for spikes in feature_spikes(machine):
        m = machine.base * m + spikes.astype(np.float64) @ exact
    return m.astype(np.int64)


def feature_spikes(machine: Machine) -> Iterator[Spikes]:
    """Of each step, the spikes that a linear layer reads, (batch, features)."""
    steps, columns = machine[S.STEPS], machine[S.COLUMNS_IN]
    features = machine[S.FEATURES]
    rows = np.arange(-(-features // columns))
    for step in range(steps):
        words = machine.read(machine[S.SOURCE] + rows * steps + step)
        yield words[:, :, :columns].reshape(len(words), -1)[:, :features]


def seen_spikes(machine: Machine) -> Whole:
    """Spikes of all samples, steps, rows and lanes by tap, (taps,).

    Lanes beyond the end of a row count as well: they see what is there.
    """
    lanes, columns = machine.dimensions.lanes, machine[S.COLUMNS_OUT]
    counts = sum(words.sum((0, 1), dtype=np.int64) for words in _words(machine))
    assert not isinstance(counts, int)
    return counts[..., _columns(machine, -(-columns // lanes) * lanes)].sum(-1).reshape(-1)


def _steps(machine: Machine) -> Iterator[Spikes]:
    """Of each step, the spikes that the lanes see, (batch, rows, taps, columns)."""
    columns = _columns(machine, machine[S.COLUMNS_OUT])
    for words in _words(machine):
        yield words[..., columns].reshape(*words.shape[:2], -1, columns.shape[1])


def _words(machine: Machine) -> Iterator[Spikes]:
    """Of each step, what is read, (batch, output rows, channels, kernel rows, word + 1).

    Words have a column of 0 at their end, where all that is outside is looked up.
    """
    channels, kernel_rows = machine[S.CHANNELS], machine[S.KERNEL_ROWS]
    y = np.arange(machine[S.ROWS_OUT])[:, None, None]
    c, i = np.arange(channels)[:, None], np.arange(kernel_rows)
    address = machine[S.SOURCE] + machine[S.ROW_START] + y * machine[S.ROW_STEP]
    address = address + c * machine[S.CHANNEL_STEP] + i * machine[S.STEPS]
    row = y * machine[S.STRIDE_ROWS] - machine[S.PAD_ROWS] + i + 0 * c
    there = ((row >= 0) & (row < machine[S.ROWS_IN])).astype(np.uint8)
    for step in range(machine[S.STEPS]):
        words = machine.read(address + step) * there[..., None]
        yield np.concatenate([words, np.zeros((*words.shape[:-1], 1), np.uint8)], -1)


def _columns(machine: Machine, count: int) -> Whole:
    """Which column of a word a lane sees, (kernel columns, output columns); -1 is none."""
    d = machine.dimensions
    x = np.arange(count)
    shift = machine[S.OFFSET] + x // d.lanes * machine[S.TILE_STEP] - d.pad
    column = shift + x % d.lanes * machine[S.STRIDE_COLUMNS]
    column = column + np.arange(machine[S.KERNEL_COLUMNS])[:, None]
    return np.where((column >= 0) & (column < d.word), column, -1)
