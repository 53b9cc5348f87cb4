"""N-MNIST, the small set: digits seen by an event camera that moves in three saccades."""

from __future__ import annotations

import hashlib
import math
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright.data.archive import read_members
from spikewright.data.events import decode_bs2, step_of
from spikewright.data.split import Arrays, Split, checked_count, hold_out
from spikewright.data.store import DataFile, DataSource, damaged, locate
from spikewright.units import check_dt

SIDE = 34
LAST_EVENT = 0.336040
"""Time of the latest event of all recordings, s."""

LISTS = {"train": ("train1K.txt", 1000), "test": ("test100.txt", 100)}
RECORDINGS_SHA256 = "78a117de1793242d345a17d2c83b3b77d977f43c712bc94b5e38366b0a9c6f12"


def check_archive(path: Path) -> None:
    """Raise DataError unless the archive holds the published recordings and lists.

    The recordings are compared through one SHA-256 over each name and its own SHA-256, in the
    order of their numbers; of the lists, numbers and class range.
    """
    members = read_members(path, lambda name: name.parent.name == "NMNISTsmall")
    for part in LISTS:
        _listed(path, members, part)
    recordings = [name for name in members if name.endswith(".bs2") and name[:-4].isdigit()]
    total = hashlib.sha256()
    for name in sorted(recordings, key=lambda name: int(name[:-4])):
        total.update(name.encode() + b"\0" + hashlib.sha256(members[name]).digest())
    if total.hexdigest() != RECORDINGS_SHA256:
        raise damaged(path, f"{len(recordings)} recordings that are not the published 1100")


def _listed(
    path: Path, members: dict[str, bytes], part: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers and classes of a part's recordings."""
    name, count = LISTS[part]
    try:
        lines = members[name].decode("ascii").splitlines()
        pairs = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        table = np.array([[int(number), int(label)] for number, label in pairs], np.int64)
    except (KeyError, ValueError) as cause:
        raise damaged(path, f"no readable {name} inside ({cause})") from cause
    numbers, labels = table.reshape(-1, 2).T
    absent = [n for n in numbers.tolist() if f"{n}.bs2" not in members]
    if len(numbers) != count or absent:
        raise damaged(path, f"{len(numbers)} of {count} in {name}, {len(absent)} without a file")
    if labels.min() < 0 or labels.max() > 9:
        raise damaged(path, f"a class outside 0 to 9 in {name}")
    return numbers.copy(), labels.copy()


class NMNIST:
    """The first 1000 training and 100 test recordings of N-MNIST, as counts on a time grid.

    A batch is (time, batch, 2, 34, 34): events of each polarity and pixel in each step, or
    (time, batch, 1156): those of each pixel. Events are kept as steps, units and offsets, and
    laid out by batch.

    Args:
        dt: time step, s.
        steps: time steps; ``None`` covers every event (336 ms). Events after a shorter grid's
            end are left out, and ``split.left_out`` counts them.
        maximum: largest count of one pixel in one step; ``None`` keeps all.
        folder: folder with the file; default as for :func:`spikewright.data.data_folder`.
        validation: how many training recordings are held out: the last ones, in list order.
        limit: at most that many recordings of each split, the first ones.
        polarity: whether ON and OFF events are kept apart; if not, features are (1156,).

    Raises:
        DataError: when first used: the file is missing, damaged or cannot be fetched.

    The archive of the official source is known by its recordings' bytes, not by its own checksum.

    Source: Orchard, Jayawant, Cohen, Thakor, Front. Neurosci. 9:437, 2015.

    >>> data = NMNIST(dt=5e-3)
    >>> data.train.shape, data.train.steps
    ((2, 34, 34), 68)
    """

    classes = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    source = DataSource(
        name="nmnist-small",
        title="N-MNIST, the first 1000 + 100 recordings",
        licence="CC BY-SA 4.0",
        citation="Orchard, Jayawant, Cohen, Thakor. Converting static image datasets to spiking "
        "neuromorphic datasets using saccades. Front. Neurosci. 9:437, 2015",
        page="https://github.com/bamsumit/slayerPytorch",
        files=(
            DataFile(
                "events/NMNISTsmall.zip",
                14_000_000,
                "https://github.com/bamsumit/slayerPytorch/raw/master/exampleLoihi/02_NMNIST/"
                "NMNISTsmall.zip",
                check=check_archive,
                stand_in=DataFile(
                    "events/nmnist-small.tar.xz",
                    13_677_196,
                    sha256="a39ee2fb7d5d8fbdc5fecec0967ab986f2b4678259774e7b9c62a4575705bf5a",
                ),
            ),
        ),
    )

    def __init__(
        self,
        dt: float = 1e-3,
        steps: int | None = None,
        *,
        maximum: int | None = None,
        folder: str | Path | None = None,
        validation: int = 100,
        limit: int | None = None,
        polarity: bool = True,
    ) -> None:
        self.name = self.source.name
        self.dt = check_dt("NMNIST", dt)
        covering = int(step_of(np.array([LAST_EVENT]), dt)[0]) + 1
        self.steps = checked_count("NMNIST", "steps", steps) or covering
        self._folder = folder
        self._held_out = checked_count("NMNIST", "validation", validation, least=0) or 0
        self._limit = checked_count("NMNIST", "limit", limit)
        checked_count("NMNIST", "maximum", maximum)
        shape = (2, SIDE, SIDE) if polarity else (SIDE * SIDE,)
        self.train, self.validation, self.test = (
            EventSplit(partial(self._part, part), self.dt, (self.steps, *shape), maximum)
            for part in ("train", "validation", "test")
        )

    @cached_property
    def _members(self) -> tuple[Path, dict[str, bytes]]:
        path = locate(self.source, self.source.files[0], self._folder)
        return path, read_members(path, lambda name: name.parent.name == "NMNISTsmall")

    def _part(self, part: str) -> tuple[list[tuple[str, bytes]], Tensor]:
        path, members = self._members
        numbers, labels = _listed(path, members, "test" if part == "test" else "train")
        cut = slice(None)
        if part != "test":
            kept = hold_out("NMNIST", len(numbers), self._held_out)
            cut = slice(None, kept) if part == "train" else slice(kept, None)
        chosen = numbers[cut][: self._limit]
        recordings = [(f"{path}: {n}.bs2", members[f"{n}.bs2"]) for n in chosen.tolist()]
        return recordings, torch.from_numpy(labels[cut][: self._limit])


class EventSplit(Split):
    """Recordings one after the other: ``values`` (events, 2) int32 are step and unit."""

    def __init__(
        self,
        load: partial[tuple[list[tuple[str, bytes]], Tensor]],
        dt: float,
        grid: tuple[int, ...],
        maximum: int | None,
    ) -> None:
        super().__init__(self._binned, grid[0], grid[1:])
        self._recordings, self._dt, self._maximum = load, dt, maximum

    @cached_property
    def _binned_all(self) -> tuple[Tensor, Tensor, Tensor, int]:
        recordings, targets = self._recordings()
        parts = [torch.empty(0, 2, dtype=torch.int32)]
        left_out = 0
        for where, raw in recordings:
            events = decode_bs2(raw, SIDE, SIDE, where)
            bins = step_of(events.times, self._dt)
            kept = bins < self.steps
            left_out += int((~kept).sum())
            both = np.stack([bins[kept], events.units[kept]], axis=1)
            parts.append(torch.from_numpy(both.astype(np.int32)))
        lengths = torch.tensor([len(part) for part in parts])
        return torch.cat(parts), lengths.cumsum(0), targets, left_out

    def _binned(self) -> Arrays:
        values, _, targets, _ = self._binned_all
        return values, targets

    @property
    def offsets(self) -> Tensor:
        """Row of ``values`` where each recording begins, and the end: (recordings + 1,) int64."""
        return self._binned_all[1]

    @property
    def left_out(self) -> int:
        """How many events lie after the end of the grid."""
        return self._binned_all[3]

    def _encode(self, index: Tensor, generator: torch.Generator | None) -> Tensor:
        first = self.offsets[index]
        lengths = self.offsets[index + 1] - first
        row = torch.repeat_interleave(torch.arange(len(index)), lengths)
        begun = lengths.cumsum(0) - lengths
        events = self.values[torch.arange(len(row)) + (first - begun)[row]].long()
        size = math.prod(self.shape)
        flat = (events[:, 0] * len(index) + row) * size + events[:, 1] % size
        counts = torch.zeros(self.steps * len(index) * size)
        counts.index_add_(0, flat, torch.ones(len(flat)))
        if self._maximum is not None:
            counts.clamp_(max=float(self._maximum))
        return counts.view(self.steps, len(index), *self.shape)
