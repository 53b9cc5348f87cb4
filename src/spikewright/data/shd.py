"""The Heidelberg spiking data sets: speech as the spikes of 700 channels of a model ear."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from spikewright.data.events import open_hdf5, recordings_of
from spikewright.data.spike_lists import SpikeLists, SpikeListSplit
from spikewright.data.split import checked_count
from spikewright.data.store import DataFile, DataSource, damaged, locate
from spikewright.errors import ParameterError
from spikewright.units import check_dt

CHANNELS = 700
PUBLISHER = "https://zenkelab.org/datasets/"
CITATION = (
    "Cramer, Stradmann, Schemmel, Zenke. The Heidelberg Spiking Data Sets for the Systematic "
    "Evaluation of Spiking Neural Networks. IEEE Trans. Neural Netw. Learn. Syst. 33, 2022"
)


def read_spikes(path: Path, classes: int) -> tuple[SpikeLists, Tensor]:
    """Recordings of a file and the number of each one's speaker, (recordings,) int64.

    Raises:
        DataError: absent, damaged, or with a class from ``classes`` on.
    """
    with open_hdf5(path) as file:
        labels = torch.from_numpy(np.asarray(file["labels"], np.int64))
        spikes = SpikeLists.gather(recordings_of(file, CHANNELS, str(path)), labels)
        speakers = torch.from_numpy(np.asarray(file["extra/speaker"], np.int64))
    if len(speakers) != len(labels):
        raise damaged(path, f"{len(speakers)} speakers of {len(labels)} recordings")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise damaged(path, f"a class outside 0 to {classes - 1}")
    return spikes, speakers


def _file(name: str, size: int, classes: int) -> DataFile:
    """A file as the publisher packs it; unpacked it serves as well."""

    def check(path: Path) -> None:
        read_spikes(path, classes)

    path, packed = f"{name[:3]}/{name}.h5", f"{name}.h5.gz"
    unpacked = DataFile(path, size, check=check)
    return DataFile(f"{path}.gz", size, PUBLISHER + packed, check=check, stand_in=unpacked)


class HeidelbergSpikes:
    """What SHD and SSC share: HDF5 files of recordings, cut or padded to ``steps`` of ``dt``.

    A batch is (time, batch, 700), spikes at their nearest step, or `SpikeTimes`. Spikes after the
    end are left out, and ``split.left_out`` counts them.

    Args:
        dt: time step, s.
        steps: time steps; 1400 of 1 ms hold every recording of SHD.
        exact: hand out spikes at their times, not on the grid.
        folder: folder with the files; default as for :func:`spikewright.data.data_folder`.
        limit: at most that many recordings of each split, the first ones.

    Raises:
        ParameterError: a number is out of range.
        DataError: when first used: a file is missing, damaged or cannot be fetched.
    """

    source: ClassVar[DataSource]
    classes: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        dt: float = 1e-3,
        steps: int = 1400,
        *,
        exact: bool = False,
        folder: str | Path | None = None,
        limit: int | None = None,
    ) -> None:
        where = type(self).__name__
        self.name = self.source.name
        self.dt = check_dt(where, dt)
        self.steps = checked_count(where, "steps", steps) or steps
        self._folder = folder
        self._limit = checked_count(where, "limit", limit)
        self.train, self.validation, self.test = (
            SpikeListSplit(partial(self._limited, part), (steps, dt), (CHANNELS,), exact)
            for part in ("train", "validation", "test")
        )

    def _limited(self, part: str) -> SpikeLists:
        spikes = self._part(part)
        count = len(spikes.targets)
        return spikes.take(torch.arange(min(count, self._limit or count)))

    def _part(self, part: str) -> SpikeLists:
        raise NotImplementedError

    def _read(self, number: int) -> tuple[SpikeLists, Tensor]:
        path = locate(self.source, self.source.files[number], self._folder)
        return read_spikes(path, len(self.classes))


class SHD(HeidelbergSpikes):
    """Spiking Heidelberg Digits: 0 to 9 in English and German, 8156 + 2264 recordings.

    Two of the twelve speakers are in the test set only. Validation is by speaker too: all that one
    of the training speakers said is held out.

    Further arguments as for :class:`HeidelbergSpikes`.

    Args:
        speaker: number of the training speaker who is held out; ``None``: none, and the validation
            split is empty.

    The publisher's list of checksums is not in reach of this package: files are known by what they
    hold. Address, numbers and names of classes are from memory.

    Source: Cramer, Stradmann, Schemmel, Zenke, IEEE Trans. Neural Netw. Learn. Syst. 33, 2022.

    >>> data = SHD(dt=2e-3, steps=500, exact=True)
    >>> data.train.shape, data.train.steps, len(data.classes)
    ((700,), 500, 20)
    """

    classes = (
        *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
        *("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
    )
    source = DataSource(
        name="shd",
        title="Spiking Heidelberg Digits, 8156 + 2264 recordings",
        licence="CC BY 4.0",
        citation=CITATION,
        page="https://zenkelab.org/resources/spiking-heidelberg-datasets-shd/",
        files=(_file("shd_train", 130_000_000, 20), _file("shd_test", 38_000_000, 20)),
    )

    def __init__(
        self,
        dt: float = 1e-3,
        steps: int = 1400,
        *,
        exact: bool = False,
        folder: str | Path | None = None,
        limit: int | None = None,
        speaker: int | None = 0,
    ) -> None:
        super().__init__(dt, steps, exact=exact, folder=folder, limit=limit)
        self._speaker = checked_count("SHD", "speaker", speaker, least=0)

    @cached_property
    def _training(self) -> tuple[SpikeLists, Tensor]:
        return self._read(0)

    def _part(self, part: str) -> SpikeLists:
        if part == "test":
            return self._read(1)[0]
        spikes, speakers = self._training
        if self._speaker is not None and not bool((speakers == self._speaker).any()):
            present = ", ".join(map(str, speakers.unique().tolist()))
            raise ParameterError(
                f"SHD: speaker must be one of the training speakers, {present}, got "
                f"{self._speaker}. Choose one of them, or None."
            )
        held_out = speakers == (-1 if self._speaker is None else self._speaker)
        return spikes.take((held_out == (part == "validation")).nonzero()[:, 0])


class SSC(HeidelbergSpikes):
    """Spiking Speech Commands: 35 words, 75466 + 9981 + 20382 recordings, by numbers of class.

    Arguments as for :class:`HeidelbergSpikes`. All recordings are held in memory, 4 GB.

    Source: Cramer, Stradmann, Schemmel, Zenke, IEEE Trans. Neural Netw. Learn. Syst. 33, 2022;
    address and size from memory.

    >>> SSC(steps=1000).test.shape
    (700,)
    """

    classes = tuple(str(number) for number in range(35))
    source = DataSource(
        name="ssc",
        title="Spiking Speech Commands, 35 words",
        licence="CC BY 4.0",
        citation=CITATION,
        page="https://zenkelab.org/resources/spiking-heidelberg-datasets-shd/",
        files=(
            _file("ssc_train", 1_300_000_000, 35),
            _file("ssc_valid", 170_000_000, 35),
            _file("ssc_test", 350_000_000, 35),
        ),
    )

    def _part(self, part: str) -> SpikeLists:
        return self._read(("train", "validation", "test").index(part))[0]
