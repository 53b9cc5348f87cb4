"""Free Spoken Digit Dataset: ten digits spoken by six people, as filterbank energies."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright.data.archive import read_members
from spikewright.data.filterbank import Filterbank
from spikewright.data.split import Arrays, Split, checked_count
from spikewright.data.store import DataFile, DataSource, damaged, locate
from spikewright.data.wav import decode_wav
from spikewright.errors import ParameterError
from spikewright.units import check_dt

RATE = 8000
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TAKES = 50
TEST_TAKES = 5


def clip_names(takes: range) -> list[str]:
    """File names take by take, speakers and digits in turn, so that any beginning is balanced.

    >>> clip_names(range(2))[:2], len(clip_names(range(5)))
    (['0_george_0.wav', '1_george_0.wav'], 300)
    """
    return [
        f"{digit}_{speaker}_{take}.wav"
        for take in takes
        for speaker in SPEAKERS
        for digit in range(10)
    ]


def checked_held_out(where: str, validation: int) -> int:
    """How many takes are held out of training, which must leave some."""
    held_out = checked_count(where, "validation", validation, least=0) or 0
    if held_out >= TAKES - TEST_TAKES:
        raise ParameterError(
            f"{where}: validation must be below the {TAKES - TEST_TAKES} training takes, got "
            f"{validation}. Hold out fewer takes."
        )
    return held_out


def takes_of(part: str, held_out: int) -> range:
    """The takes of ``"train"``, ``"validation"`` or ``"test"``.

    >>> takes_of("test", 5), takes_of("validation", 5)
    (range(0, 5), range(45, 50))
    """
    last = TAKES - held_out
    return {
        "train": range(TEST_TAKES, last),
        "validation": range(last, TAKES),
        "test": range(TEST_TAKES),
    }[part]


def read_clips(path: Path) -> dict[str, bytes]:
    """The wav files of an archive by name; all 3000 must be there."""
    clips = read_members(path, lambda name: name.parent.name == "recordings")
    absent = [name for name in clip_names(range(TAKES)) if name not in clips]
    if absent:
        raise damaged(path, f"{len(absent)} of 3000 clips missing, such as {absent[0]}")
    return clips


def check_archive(path: Path) -> None:
    """Raise DataError unless all 3000 clips are there and are 8 kHz mono of 16 bits."""
    clips = read_clips(path)
    for name in clip_names(range(TAKES)):
        wave: NDArray[np.float32] = decode_wav(clips[name], RATE, f"{path}: {name}")
        if not wave.size:
            raise damaged(path, f"no samples in {name}")


class FreeSpokenDigits:
    """3000 clips, 50 takes of each digit by each speaker, as log filterbank energies in [0, 1].

    A batch is (time, batch, bands), see :class:`spikewright.data.filterbank.Filterbank`. Clips
    longer than the grid are cut at its end, shorter ones end in silence (0). Takes 0 to 4 are
    the test set, as the publisher says.

    Args:
        dt: time step, s; a whole number of samples at 8 kHz.
        steps: time steps; 100 of 10 ms cover 1 s, which 99 % of the clips fit into.
        bands: filters.
        folder: folder with the file; default as for :func:`spikewright.data.data_folder`.
        validation: how many takes of each digit and speaker are held out of training, the last.
        limit: at most that many clips of each split, taken evenly over digits and speakers.

    Raises:
        ParameterError: dt is no whole number of samples, or too many takes are held out.
        DataError: when first used: the file is missing, damaged or cannot be fetched.

    The official archive is made on request and has no lasting checksum, so it is known by the
    names and formats of its 3000 clips.

    Source: Jackson and others, doi:10.5281/zenodo.1342401.

    >>> data = FreeSpokenDigits(bands=20)
    >>> data.train.shape, data.train.steps, data.dt
    ((20,), 100, 0.01)
    """

    classes = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    source = DataSource(
        name="free-spoken-digits",
        title="Free Spoken Digit Dataset, 3000 clips",
        licence="CC BY-SA 4.0",
        citation="Jackson and others. Free Spoken Digit Dataset, 2018. doi:10.5281/zenodo.1342401",
        page="https://github.com/Jakobovski/free-spoken-digit-dataset",
        files=(
            DataFile(
                "fsdd/v1.0.10.zip",
                16_400_000,
                "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/"
                "v1.0.10.zip",
                check=check_archive,
                stand_in=DataFile(
                    "fsdd/fsdd-recordings.tar.xz",
                    13_501_892,
                    sha256="5607971cbee5dc5094c05d26612180e756c285938e28c36c32db075aed264895",
                ),
            ),
        ),
    )

    def __init__(
        self,
        dt: float = 10e-3,
        steps: int = 100,
        *,
        bands: int = 40,
        folder: str | Path | None = None,
        validation: int = 5,
        limit: int | None = None,
    ) -> None:
        where = "FreeSpokenDigits"
        checked_count(where, "bands", bands)
        self.name = self.source.name
        self.dt = check_dt(where, dt)
        self.steps = checked_count(where, "steps", steps) or steps
        self.filterbank = Filterbank(bands=bands, rate=RATE, hop=_hop(dt))
        self._folder = folder
        self._held_out = checked_held_out(where, validation)
        self._limit = checked_count(where, "limit", limit)
        self.train, self.validation, self.test = (
            SeriesSplit(partial(self._part, part), self.steps, (bands,))
            for part in ("train", "validation", "test")
        )

    @cached_property
    def _clips(self) -> tuple[Path, dict[str, bytes]]:
        path = locate(self.source, self.source.files[0], self._folder)
        return path, read_clips(path)

    def _part(self, part: str) -> Arrays:
        path, clips = self._clips
        names = clip_names(takes_of(part, self._held_out))[: self._limit]
        waves = [decode_wav(clips[name], RATE, f"{path}: {name}") for name in names]
        values = torch.from_numpy(self.filterbank.energies(waves, self.steps))
        return values, torch.tensor([int(name[0]) for name in names], dtype=torch.int64)


class SeriesSplit(Split):
    """Series as they are fed in: ``values`` (clips, time, bands) float32."""

    def _encode(self, index: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.values[index].transpose(0, 1).contiguous()


def _hop(dt: float) -> int:
    hop = round(dt * RATE)
    if hop < 1 or abs(dt * RATE - hop) > 1e-6 * hop:
        raise ParameterError(
            f"FreeSpokenDigits: dt must be a whole number of samples of 125 µs, got {dt:g} s. "
            "Pass for example dt=10e-3."
        )
    return hop
