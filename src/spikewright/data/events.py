"""Small readers for event files, and events onto a time grid.

====================  ==================================================================
``read_bs2``          SLAYER 2D: 5 bytes, x (8 bits), y (8), polarity (1), time in µs (23)
``read_bs1``          SLAYER 1D: 5 bytes, unit (16 bits), 1 bit, time in µs (23)
``read_atis``         ATIS ``.bin`` of N-MNIST: as bs2, with overflow marks at y = 240
``read_hdf5``         ``spikes/times`` (s), ``spikes/units`` and ``labels``, as SHD and SSC
====================  ==================================================================

All numbers are big-endian.
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright import optional
from spikewright.data.store import damaged
from spikewright.errors import DataError, ParameterError
from spikewright.units import check_dt

MICROSECOND = 1e-6
ATIS_OVERFLOW_ROW = 240
ATIS_OVERFLOW = 1 << 13
EDGE = 1e-6
"""An event this close below a bin's edge, in bins, counts as on it: 0.003 / 0.001 is 2.9999…"""


@dataclass(frozen=True)
class Events:
    """Events of one recording.

    Attributes:
        times: (events,) float64, s.
        units: (events,) int64, row-major index into ``shape``.
        shape: the sensor, such as (polarity, height, width) or (channels,).
    """

    times: NDArray[np.float64]
    units: NDArray[np.int64]
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.times)

    def coordinates(self) -> tuple[NDArray[np.int64], ...]:
        """The units as one index array for each axis of ``shape``."""
        return tuple(np.unravel_index(self.units, self.shape))


def read_bs2(path: str | Path, height: int = 34, width: int = 34) -> Events:
    """Read a SLAYER ``.bs2`` file; shape (2, height, width), first axis the polarity bit.

    Raises:
        DataError: absent, cut short, or with an event outside the sensor.
    """
    return decode_bs2(_bytes(path), height, width, str(path))


def decode_bs2(raw: bytes, height: int, width: int, where: str) -> Events:
    """As :func:`read_bs2`, from bytes; ``where`` names them in errors."""
    words = _words(raw, where)
    return _sensor_events(words, _microseconds(words), height, width, where)


def read_atis(path: str | Path, height: int = 34, width: int = 34) -> Events:
    """Read an ATIS ``.bin`` file of N-MNIST; shape (2, height, width).

    A row of 240 is no event: it adds 2^13 µs to all later times.

    Raises:
        DataError: absent, cut short, or with an event outside the sensor.
    """
    words = _words(_bytes(path), str(path))
    overflow = words[:, 1] == ATIS_OVERFLOW_ROW
    ticks = _microseconds(words) + ATIS_OVERFLOW * np.cumsum(overflow)
    return _sensor_events(words[~overflow], ticks[~overflow], height, width, str(path))


def read_bs1(path: str | Path, units: int) -> Events:
    """Read a SLAYER ``.bs1`` file of ``units`` channels; shape (units,).

    Raises:
        DataError: absent, cut short, or with a unit from ``units`` on.
    """
    words = _words(_bytes(path), str(path))
    index = words[:, 0] << 8 | words[:, 1]
    _inside(index, units, "unit", str(path))
    return Events(_seconds(_microseconds(words)), index, (units,))


def read_hdf5(path: str | Path, units: int = 700) -> tuple[list[Events], NDArray[np.int64]]:
    """Read an HDF5 file laid out as the Spiking Heidelberg Digits, packed with gzip or not.

    Returns:
        the recordings, shape (units,), and their labels, (recordings,).

    Raises:
        DataError: absent, no HDF5, without one of the three entries, or with unequal counts.
        MissingDependency: h5py is not installed.
    """
    with open_hdf5(path) as file:
        return list(recordings_of(file, units, str(path))), np.asarray(file["labels"], np.int64)


@contextmanager
def open_hdf5(path: str | Path) -> Iterator[Any]:
    """An HDF5 file open for reading; one that ends in .gz is unpacked in memory.

    Raises:
        DataError: absent, or at any fault that h5py finds while the file is open.
        MissingDependency: h5py is not installed.
    """
    h5py = optional.require("h5py")
    path = Path(path)
    if not path.is_file():
        raise DataError(f"data: file {path} must exist, got nothing there. Check the path.")
    packed = path.suffix == ".gz"
    try:
        content = io.BytesIO(gzip.decompress(path.read_bytes())) if packed else path
        with h5py.File(content, "r") as file:
            yield file
    except DataError:
        raise
    except (OSError, EOFError, zlib.error, KeyError, RuntimeError, ValueError, TypeError) as cause:
        raise damaged(path, f"what h5py cannot read as SHD ({cause})") from cause


def recordings_of(file: Any, units: int, where: str) -> Iterator[Events]:
    """The recordings of an open HDF5 file, one by one; shape (units,).

    Raises:
        DataError: unequal counts of times, units and labels, or a recording that does not fit.
    """
    times, index, labels = (file[name] for name in ("spikes/times", "spikes/units", "labels"))
    if not len(times) == len(index) == len(labels):
        raise damaged(where, f"{len(times)} times, {len(index)} units, {len(labels)} labels")
    for pair in zip(times, index, strict=True):
        yield _channel_events(*pair, units, where)


def step_of(times: NDArray[np.float64], dt: float) -> NDArray[np.int64]:
    """The time step each event falls in: floor(t / dt), an event on an edge in the later one.

    >>> step_of(np.array([0.0, 0.0029, 0.003, 0.0031]), 1e-3).tolist()
    [0, 2, 3, 3]
    """
    return np.floor(times / check_dt("data.events", dt) + EDGE).astype(np.int64)


def bin_events(
    events: Events, dt: float, steps: int | None = None, maximum: int | None = None
) -> Tensor:
    """Count one recording's events by time step.

    Args:
        events: the recording.
        dt: time step, s.
        steps: time steps; ``None`` covers the last event. Events at or after ``steps dt`` are
            left out.
        maximum: largest count kept of one unit in one step; ``None`` keeps all.

    Returns:
        counts, (steps, *shape) float32.

    >>> events = Events(np.array([0.0, 1e-3, 1.5e-3]), np.array([1, 0, 0]), (2,))
    >>> bin_events(events, dt=1e-3).tolist()
    [[0.0, 1.0], [2.0, 0.0]]
    """
    bins = step_of(events.times, dt)
    if bins.size and bins.min() < 0:
        raise DataError(
            f"data.events: times must be 0 s or later, got {events.times.min():g} s. "
            "Shift the recording to start at 0."
        )
    if steps is None:
        steps = int(bins.max(initial=0)) + 1
    if steps < 1 or (maximum is not None and maximum < 1):
        raise ParameterError(
            f"data.events: steps and maximum must be 1 or more, got {steps} and {maximum}. "
            "Leave them out to keep every event."
        )
    kept = bins < steps
    size = math.prod(events.shape)
    flat = torch.from_numpy(bins[kept] * size + events.units[kept])
    counts = torch.zeros(steps * size).index_add_(0, flat, torch.ones(len(flat)))
    if maximum is not None:
        counts.clamp_(max=float(maximum))
    return counts.view(steps, *events.shape)


def _bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as cause:
        raise DataError(
            f"data: file {path} must be readable, got {cause.strerror or cause}. Check the path."
        ) from cause


def _words(raw: bytes, where: str) -> NDArray[np.int64]:
    if len(raw) % 5:
        raise damaged(where, f"{len(raw)} bytes, not a whole number of 5-byte events")
    return np.frombuffer(raw, np.uint8).reshape(-1, 5).astype(np.int64)


def _microseconds(words: NDArray[np.int64]) -> NDArray[np.int64]:
    return (words[:, 2] & 127) << 16 | words[:, 3] << 8 | words[:, 4]


def _seconds(ticks: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(ticks * MICROSECOND, np.float64)


def _sensor_events(
    words: NDArray[np.int64], ticks: NDArray[np.int64], height: int, width: int, where: str
) -> Events:
    x, y, polarity = words[:, 0], words[:, 1], words[:, 2] >> 7
    _inside(x, width, "x", where)
    _inside(y, height, "y", where)
    return Events(_seconds(ticks), (polarity * height + y) * width + x, (2, height, width))


def _channel_events(times: Any, index: Any, units: int, where: str) -> Events:
    seconds, channels = np.asarray(times, np.float64), np.asarray(index, np.int64)
    if seconds.shape != channels.shape or not np.isfinite(seconds).all():
        raise damaged(where, "a recording whose times are not finite, one for each unit")
    _inside(channels, units, "unit", where)
    return Events(seconds, channels, (units,))


def _inside(values: NDArray[np.int64], size: int, what: str, where: str) -> None:
    if values.size and not (values.min() >= 0 and values.max() < size):
        raise damaged(where, f"an event at {what} = {values.max()} of {size}")
