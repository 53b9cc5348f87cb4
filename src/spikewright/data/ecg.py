"""Electrocardiograms: beats of a record of the MIT-BIH database and of two sets of the UCR."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright.data.archive import read_members
from spikewright.data.images import Encoder
from spikewright.data.mitbih import read_212, read_beats, read_header
from spikewright.data.split import Arrays, Sequences, Split, checked_count, limited
from spikewright.data.store import DataFile, DataSource, damaged, locate
from spikewright.errors import ParameterError
from spikewright.units import check_dt

ARCHIVE = DataFile(
    "timeseries/timeseries.tar.xz",
    2_122_092,
    sha256="f374135dad32b47aa5227c4b6125a165050e9459973491f54d5d1aa4c684db12",
)
UCR_CITATION = "Dau and others. The UCR Time Series Archive. IEEE/CAA J. Autom. Sinica 6(6), 2019"
UCR_PAGE = "https://www.timeseriesclassification.com"


class ECGSplit(Split):
    """Beats, ``values`` (beats, time) float32 with mean 0 and spread 1, as sequences by batch."""

    def __init__(
        self, load: Callable[[], Arrays], steps: int, encoder: Encoder | None, length: int
    ) -> None:
        super().__init__(load, steps, (1,))
        self._encoder, self._length = encoder, length

    @cached_property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Feature shape of a batch; an encoder may change it."""
        if self._encoder is None:
            return (1,)
        return tuple(self._code(torch.zeros(self._length, 1, 1), None).shape[2:])

    def _encode(self, index: Tensor, generator: torch.Generator | None) -> Sequences:
        signal = self.values[index].T[..., None].contiguous()
        return signal if self._encoder is None else self._code(signal, generator)

    def _code(self, signal: Tensor, generator: torch.Generator | None) -> Any:
        assert self._encoder is not None
        return self._encoder(signal, generator)


class ECG:
    """What the sets of beats share; see `ECGRecord100`, `ECG5000` and `ECG200`.

    A batch is (time, batch, 1), each beat with mean 0 and spread 1, or what ``encoder`` makes of
    it. Of each run of 5 beats of a class in the order of the files, 3 are for training, 1 for
    validation and 1 for the test, unless the set has a test part of its own.

    Args:
        encoder: turns signals (time, batch, 1) into sequences, a `Crossing` say, with its own
            ``steps`` and ``dt``.
        dt: time step, s; default the encoder's, else that of the recording, or 1 ms where beats
            were stretched to one length.
        folder: folder with the file; default as for :func:`spikewright.data.data_folder`.
        limit: at most that many beats of each split, the first ones.

    Raises:
        ParameterError: ``dt`` differs from the encoder's, or a number is out of range.
        DataError: when first used: the file is missing or damaged.
    """

    source: ClassVar[DataSource]
    classes: ClassVar[tuple[str, ...]]
    length: ClassVar[int]
    """Samples of a beat."""
    sample: ClassVar[float] = 1e-3
    """Time between two of them, s."""

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        dt: float | None = None,
        folder: str | Path | None = None,
        limit: int | None = None,
    ) -> None:
        where = type(self).__name__
        self.name = self.source.name
        if encoder is not None and dt not in (None, encoder.dt):
            raise ParameterError(
                f"{where}: dt must be the encoder's, {encoder.dt:g} s, got {dt:g} s. Leave it out."
            )
        self.dt = (
            encoder.dt
            if encoder is not None
            else check_dt(where, self.sample if dt is None else dt)
        )
        self.steps = encoder.steps if encoder is not None else self.length
        self._folder = folder
        self._limit = checked_count(where, "limit", limit)
        self.train, self.validation, self.test = (
            ECGSplit(partial(self._part, part), self.steps, encoder, self.length)
            for part in ("train", "validation", "test")
        )

    def _read(self, path: Path) -> Mapping[str, Arrays]:
        """The arrays of the parts ``train``, ``validation`` and ``test``."""
        raise NotImplementedError

    @cached_property
    def _parts(self) -> Mapping[str, Arrays]:
        return self._read(locate(self.source, self.source.files[0], self._folder))

    def _part(self, part: str) -> Arrays:
        return limited(self._parts[part], self._limit)


class ECGRecord100(ECG):
    """The 2273 beats of record 100 of the MIT-BIH Arrhythmia Database: normal or premature.

    A beat is 1 s of lead MLII at 180 Hz (means of two samples) from 0.7 s before to 0.3 s after
    its mark, so that it shows how long ago the one before was: of the 34 that are not normal 33
    are premature beats of the atria, which look normal and come early. Beats less than that from
    an end of the record are left out.

    Source: Moody and Mark, IEEE Eng. Med. Biol. 20(3), 2001.

    >>> data = ECGRecord100()
    >>> data.steps, data.classes
    (180, ('normal', 'premature'))
    """

    classes = ("normal", "premature")
    length = 180
    sample = 1 / 180
    before = 126
    """Samples of 1/180 s before the mark."""
    source = DataSource(
        name="ecg-record-100",
        title="MIT-BIH Arrhythmia Database, record 100, beats",
        licence="ODC-By 1.0",
        citation="Moody, Mark. The impact of the MIT-BIH Arrhythmia Database. IEEE Eng. Med. "
        "Biol. 20(3), 2001. Goldberger and others. PhysioBank, PhysioToolkit, and PhysioNet. "
        "Circulation 101(23), 2000",
        page="https://physionet.org/content/mitdb/",
        files=(ARCHIVE,),
    )

    def _read(self, path: Path) -> Mapping[str, Arrays]:
        files = _members(path, "mitbih", ("100.hea", "100.dat", "100.atr"))
        header = read_header(files["100.hea"].decode("latin-1"), f"{path}: 100.hea")
        signal = read_212(files["100.dat"], header, f"{path}: 100.dat")[:, 0]
        times, kinds = read_beats(files["100.atr"], f"{path}: 100.atr")
        halved = signal[: len(signal) // 2 * 2].reshape(-1, 2).mean(1)
        starts = times // 2 - self.before
        inside = (starts >= 0) & (starts + self.length <= len(halved))
        beats = halved[starts[inside][:, None] + np.arange(self.length)]
        labels = np.array([kind != "N" for kind in kinds], np.int64)[inside]
        return interleaved(standardised(beats), labels)


class UCR(ECG):
    """Beats in the text files of the UCR archive: one a row, its label first."""

    labels: ClassVar[tuple[int, ...]]
    folder_name: ClassVar[str]

    def _rows(self, path: Path, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Beats (beats, time) and classes of one file."""
        where = f"{path}: {name}"
        text = _members(path, self.folder_name, (name,))[name].decode("ascii", "replace")
        try:
            rows = np.array([line.split() for line in text.splitlines() if line.strip()], float)
        except ValueError as cause:
            raise damaged(where, f"rows that are not numbers of one length ({cause})") from cause
        if rows.ndim != 2 or rows.shape[1] != 1 + self.length or not np.isfinite(rows).all():
            raise damaged(where, f"an array of {rows.shape}, not (beats, 1 + {self.length})")
        unknown = set(rows[:, 0].tolist()) - set(self.labels)
        if unknown:
            raise damaged(where, f"label {unknown.pop():g}, none of {self.labels}")
        return rows[:, 1:], np.array([self.labels.index(int(label)) for label in rows[:, 0]])


class ECG5000(UCR):
    """500 beats of a patient with heart failure, of 140 samples each, in five classes.

    The training part of the archive's ECG5000: 292, 177, 10, 19 and 2 beats. The names of the
    classes are from memory.

    Source: Dau and others, IEEE/CAA J. Autom. Sinica 6(6), 2019; record chf07 of PhysioNet's
    BIDMC Congestive Heart Failure Database.

    >>> ECG5000().steps
    140
    """

    classes = ("normal", "R on T", "premature ventricular", "supraventricular", "unclassified")
    labels = (1, 2, 3, 4, 5)
    length = 140
    folder_name = "ECG5000"
    source = DataSource(
        name="ecg5000",
        title="ECG5000, training part",
        licence="research, cite the archive",
        citation=UCR_CITATION,
        page=UCR_PAGE,
        files=(ARCHIVE,),
    )

    def _read(self, path: Path) -> Mapping[str, Arrays]:
        beats, classes = self._rows(path, "ECG5000_TRAIN.txt")
        return interleaved(standardised(beats), classes)


class ECG200(UCR):
    """200 beats of 96 samples, normal or of a heart attack; 100 are the archive's test part.

    Of each 5 training beats of a class the last is held out for validation.

    Source: Dau and others, IEEE/CAA J. Autom. Sinica 6(6), 2019.

    >>> ECG200().steps
    96
    """

    classes = ("infarction", "normal")
    labels = (-1, 1)
    length = 96
    folder_name = "ECG200"
    source = DataSource(
        name="ecg200",
        title="ECG200",
        licence="research, cite the archive",
        citation=UCR_CITATION,
        page=UCR_PAGE,
        files=(ARCHIVE,),
    )

    def _read(self, path: Path) -> Mapping[str, Arrays]:
        beats, classes = self._rows(path, "ECG200_TRAIN")
        parts = interleaved(standardised(beats), classes, test=False)
        beats, classes = self._rows(path, "ECG200_TEST")
        return {**parts, "test": (_tensor(standardised(beats)), torch.from_numpy(classes))}


def standardised(beats: NDArray[Any]) -> NDArray[np.float64]:
    """Each row with mean 0 and standard deviation 1; a flat one is all zeros.

    >>> standardised(np.array([[1.0, 3.0], [2.0, 2.0]])).tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    centred = beats.astype(np.float64) - beats.mean(1, keepdims=True, dtype=np.float64)
    spread = centred.std(1, keepdims=True)
    return centred / np.where(spread > 0, spread, 1.0)


def interleaved(
    beats: NDArray[np.float64], classes: NDArray[np.int64], *, test: bool = True
) -> dict[str, Arrays]:
    """Parts that hold each class in one proportion: of 5 beats 3, 1 and 1, or 4 and 1."""
    number = np.zeros(len(classes), np.int64)
    for kind in np.unique(classes):
        mine = classes == kind
        number[mine] = np.arange(mine.sum())
    place = number % 5
    chosen = {"validation": place == 4, "test": (place == 3) & test}
    chosen = {"train": ~(chosen["validation"] | chosen["test"]), **chosen}
    return {
        part: (_tensor(beats[mine]), torch.from_numpy(classes[mine]))
        for part, mine in chosen.items()
    }


def _tensor(beats: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(beats.astype(np.float32))


def _members(path: Path, folder: str, names: tuple[str, ...]) -> dict[str, bytes]:
    """Files of one folder of the archive by name; all must be there."""
    found = read_members(path, lambda inside: inside.parent.name == folder)
    for name in names:
        if name not in found:
            raise damaged(path, f"no {folder}/{name}")
    return found
