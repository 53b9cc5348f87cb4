"""Three spoken keywords, 60 clips each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from torch import Tensor

from spikewright.audio.augment import Augment
from spikewright.audio.front_end import FrontEnd
from spikewright.data.archive import read_members
from spikewright.data.archived_clips import ArchivedClips
from spikewright.data.clips import even_folds, of_folds
from spikewright.data.hearing import Clip, Hearing
from spikewright.data.store import DataFile, DataSource, damaged
from spikewright.errors import ParameterError

FOLDS = 5
CLIPS = 60


class Keywords(ArchivedClips):
    """180 clips of the Wake Word Benchmark, "computer", "snowboy" and "view glass", by a front end.

    A batch is (time, batch, channels). The clips are at 16 kHz, of 1.4 to 3.1 s, and crowd-sourced;
    their speakers are not labelled. There is no official split: clips are dealt out to five folds
    at random, word by word; one is tested on, the next may validate, the rest trains.

    Args:
        front_end: hears the clips, resampled to its rate.
        seconds: length that all clips are brought to; the longest has 3.08.
        fold: which fold is tested on, 0 to 4.
        validation: whether the next fold is held out of training to validate.
        copies: versions of each clip to train on; the first is the clip itself.
        augment: makes the others, see `spikewright.audio`.
        seed: of folds and augmentation.
        window: s of a clip to train on, at a place drawn anew each time; all if left out.
        folder: folder with the file; default as for :func:`spikewright.data.data_folder`.

    Raises:
        ParameterError: an option is out of its range.
        DataError: when first used: the file is missing or damaged.

    Source: Picovoice, Wake Word Benchmark.

    >>> from spikewright.audio import LogEnergy
    >>> data = Keywords(LogEnergy(16000))
    >>> data.train.shape, data.train.steps
    ((16,), 310)
    """

    classes = ("computer", "snowboy", "view glass")
    source = DataSource(
        name="keywords",
        title="Wake Word Benchmark, 60 clips of each of three keywords",
        licence="Apache-2.0",
        citation="Picovoice. Wake Word Benchmark",
        page="https://github.com/Picovoice/wake-word-benchmark",
        files=(
            DataFile(
                "keywords/keywords-3x60-wav.tar.xz",
                7_604_140,
                sha256="fd60b610e02c1617ac7e32434fe54a4d3c40f61bc4e1bcfe119c2fcb33327f4a",
            ),
        ),
    )

    def __init__(  # noqa: PLR0913 - the split and the hearing
        self,
        front_end: FrontEnd,
        *,
        seconds: float = 3.1,
        fold: int = 0,
        validation: bool = False,
        copies: int = 1,
        augment: Sequence[Augment] = (),
        seed: int = 0,
        window: float | None = None,
        folder: str | Path | None = None,
    ) -> None:
        self._fold, self._validated = fold, validation
        if not 0 <= fold < FOLDS:
            raise ParameterError(
                f"Keywords: fold must be from 0 to {FOLDS - 1}, got {fold!r}. Choose one of them."
            )
        hearing = Hearing(front_end, seconds, copies, tuple(augment), seed, window)
        super().__init__(hearing, folder)

    def clips(self) -> Iterator[Clip]:
        """The clips, word by word, by name."""
        path = self.archive
        for label, word in enumerate(self.classes):
            place = word.replace(" ", "_")
            members = read_members(path, lambda name, place=place: _belongs(name, place))
            if len(members) != CLIPS:
                raise damaged(path, f"{len(members)} of {CLIPS} clips of {word!r}")
            for name in sorted(members):
                yield Clip(f"{place}/{name}", label, members[name])

    def chosen(self, part: str, names: Sequence[str], labels: Tensor) -> Tensor:
        """By folds that are drawn word by word."""
        folds = even_folds(labels, FOLDS, self.hearing.seed)
        return of_folds(part, folds, FOLDS, self._fold, self._validated)


def _belongs(name: PurePosixPath, place: str) -> bool:
    return name.parent.name == place and name.suffix == ".wav"
