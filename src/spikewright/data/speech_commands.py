"""Google Speech Commands, version 2: 35 words, spoken by many."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from spikewright.audio.augment import Augment
from spikewright.audio.front_end import FrontEnd
from spikewright.data.archive import FAULTS
from spikewright.data.archived_clips import ArchivedClips, some_of
from spikewright.data.hearing import Clip, Hearing
from spikewright.data.store import DataFile, DataSource, damaged

WORDS = (
    "backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward", "four",
    "go", "happy", "house", "learn", "left", "marvin", "nine", "no", "off", "on", "one", "right",
    "seven", "sheila", "six", "stop", "three", "tree", "two", "up", "visual", "wow", "yes", "zero",
)  # fmt: skip
MOST = 2**27 - 1
"""Clips a speaker that the publisher's rule of division counts with."""


class SpeechCommands(ArchivedClips):
    """105,829 clips of at most 1 s at 16 kHz, 35 words, through a front end.

    A batch is (time, batch, channels). The split is the publisher's: 80, 10 and 10 % of the
    speakers train, validate and test, by a rule on the files' names; each speaker is in one part.
    The archive is read once from beginning to end; frames are kept in memory and the cache.

    Args:
        front_end: hears the clips, resampled to its rate.
        words: which of the 35 are told apart; the others' clips are left out.
        seconds: length that all clips are brought to.
        copies: versions of each clip to train on; the first is the clip itself.
        augment: makes the others, see `spikewright.audio`.
        seed: of augmentation.
        window: s of a clip to train on, at a place drawn anew each time; all if left out.
        folder: folder with the file; default as for :func:`spikewright.data.data_folder`.

    Raises:
        ParameterError: an unknown word.
        DataError: when first used: the file is missing, damaged or cannot be fetched.

    Source: Warden, "Speech Commands", arXiv:1804.03209, 2018.

    >>> from spikewright.audio import LogEnergy
    >>> SpeechCommands(LogEnergy(16000), words=("yes", "no")).train.steps
    100
    """

    source = DataSource(
        name="speech-commands",
        title="Speech Commands version 2, 35 words",
        licence="CC BY 4.0",
        citation="Warden. Speech Commands: a dataset for limited-vocabulary speech recognition. "
        "arXiv:1804.03209, 2018",
        page="https://www.tensorflow.org/datasets/catalog/speech_commands",
        files=(
            DataFile(
                "speech-commands/speech_commands_v0.02.tar.gz",
                2_428_923_189,
                "https://storage.googleapis.com/download.tensorflow.org/data/"
                "speech_commands_v0.02.tar.gz",
                sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
            ),
        ),
    )

    def __init__(  # noqa: PLR0913 - the words and the hearing
        self,
        front_end: FrontEnd,
        *,
        words: Sequence[str] = WORDS,
        seconds: float = 1.0,
        copies: int = 1,
        augment: Sequence[Augment] = (),
        seed: int = 0,
        window: float | None = None,
        folder: str | Path | None = None,
    ) -> None:
        self.classes = some_of("SpeechCommands: words", words, WORDS, "the 35")
        hearing = Hearing(front_end, seconds, copies, tuple(augment), seed, window)
        super().__init__(hearing, folder)

    def clips(self) -> Iterator[Clip]:
        """The clips in the archive's order."""
        path, found = self.archive, 0
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    place = PurePosixPath(member.name)
                    if place.suffix != ".wav" or place.parent.name not in self.classes:
                        continue
                    stream = archive.extractfile(member)
                    if stream is not None:
                        found += 1
                        label = self.classes.index(place.parent.name)
                        yield Clip(f"{place.parent.name}/{place.name}", label, stream.read())
        except FAULTS as cause:
            raise damaged(path, f"an archive that cannot be read ({cause})") from cause
        if not found:
            raise damaged(path, "no clip of the words")

    def identity(self) -> Mapping[str, Any]:
        """The archive's size and time, as it is too long to read twice, and the words."""
        state = self.archive.stat()
        return {"archive": [state.st_size, state.st_mtime_ns], "words": self.classes}

    def chosen(self, part: str, names: Sequence[str], labels: Tensor) -> Tensor:
        """By the publisher's rule."""
        return torch.tensor([part_of(name) == part for name in names])


def part_of(name: str) -> str:
    """The part that a clip belongs to, by the publisher's rule on its speaker.

    The SHA-1 of the file's name up to ``_nohash_`` gives a share in percent: below 10 validates,
    below 20 tests. The archive's lists of both were made by it (from memory).

    >>> part_of("bed/00176480_nohash_0.wav"), part_of("cat/00176480_nohash_3.wav")
    ('train', 'train')
    """
    speaker = PurePosixPath(name).name.partition("_nohash_")[0]
    digest = int(hashlib.sha1(speaker.encode(), usedforsecurity=False).hexdigest(), 16)
    share = digest % (MOST + 1) * (100.0 / MOST)
    return "validation" if share < 10 else "test" if share < 20 else "train"
