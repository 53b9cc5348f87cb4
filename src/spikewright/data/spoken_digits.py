"""Free Spoken Digits as a front end hears them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from spikewright.audio.augment import Augment
from spikewright.audio.front_end import FrontEnd
from spikewright.data.archived_clips import ArchivedClips
from spikewright.data.free_spoken_digits import (
    TAKES,
    FreeSpokenDigits,
    checked_held_out,
    clip_names,
    read_clips,
    takes_of,
)
from spikewright.data.hearing import Clip, Hearing


class SpokenDigits(ArchivedClips):
    """The 3000 clips of Free Spoken Digits through a front end; see `FreeSpokenDigits`.

    A batch is (time, batch, channels). Takes 0 to 4 are the test set, as the publisher says.

    Args:
        front_end: hears the clips, resampled from 8 kHz to its rate.
        seconds: length that all clips are brought to; 99 % are shorter than 1 s.
        validation: how many takes of each digit and speaker are held out of training, the last.
        copies: versions of each clip to train on; the first is the clip itself.
        augment: makes the others, see `spikewright.audio`.
        seed: of augmentation.
        window: s of a clip to train on, at a place drawn anew each time; all if left out.
        folder: folder with the file; default as for :func:`spikewright.data.data_folder`.

    Raises:
        ParameterError: an option is out of its range.
        DataError: when first used: the file is missing, damaged or cannot be fetched.

    Source: Jackson and others, doi:10.5281/zenodo.1342401.

    >>> from spikewright.audio import XyloFrontEnd
    >>> SpokenDigits(XyloFrontEnd(8000)).train.shape
    (11,)
    """

    classes = FreeSpokenDigits.classes
    source = replace(
        FreeSpokenDigits.source,
        name="spoken-digits",
        title="Free Spoken Digit Dataset, as an audio front end hears it",
    )

    def __init__(  # noqa: PLR0913 - the split and the hearing
        self,
        front_end: FrontEnd,
        *,
        seconds: float = 1.0,
        validation: int = 5,
        copies: int = 1,
        augment: Sequence[Augment] = (),
        seed: int = 0,
        window: float | None = None,
        folder: str | Path | None = None,
    ) -> None:
        self._held_out = checked_held_out("SpokenDigits", validation)
        hearing = Hearing(front_end, seconds, copies, tuple(augment), seed, window)
        super().__init__(hearing, folder)

    def clips(self) -> Iterator[Clip]:
        """The clips, take by take."""
        found = read_clips(self.archive)
        for name in clip_names(range(TAKES)):
            yield Clip(name, int(name[0]), found[name])

    def chosen(self, part: str, names: Sequence[str], labels: Tensor) -> Tensor:
        """By takes."""
        wanted = set(clip_names(takes_of(part, self._held_out)))
        return torch.tensor([name in wanted for name in names])
