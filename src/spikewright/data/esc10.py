"""ESC-10: environmental sounds, and scenes of four backgrounds with the others in front."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikewright import seeding
from spikewright.audio.augment import Augment, Wave
from spikewright.audio.front_end import FrontEnd
from spikewright.audio.mixing import Foreground
from spikewright.audio.recording import load
from spikewright.data.archive import read_members
from spikewright.data.archived_clips import ArchivedClips, some_of
from spikewright.data.clips import of_folds
from spikewright.data.hearing import Clip, Hearing
from spikewright.data.store import DataFile, DataSource, damaged
from spikewright.errors import ParameterError

FOLDS = 5
CLIPS = 40
CLASSES = (
    "dog bark", "rain", "sea waves", "baby cry", "clock tick",
    "person sneeze", "helicopter", "chainsaw", "rooster", "fire crackling",
)  # fmt: skip
BACKGROUNDS = ("rain", "helicopter", "chainsaw", "fire crackling")
"""The classes of ambient scenes."""


class ESC10(ArchivedClips):
    """400 clips of 5 s, ten classes of environmental sound, through a front end.

    A batch is (time, batch, channels). The set's own folds keep clips of one source together: one
    is tested on, the next may validate, the rest trains.

    Args:
        front_end: hears the clips, resampled from 44.1 kHz to its rate.
        classes: which of the ten, in their order.
        seconds: length that all clips are brought to.
        fold: which fold is tested on, 1 to 5.
        validation: whether the next fold is held out of training to validate.
        copies: versions of each clip to train on; the first is the clip itself.
        augment: makes the others, see `spikewright.audio`.
        seed: of what is drawn.
        window: s of a clip to train on, at a place drawn anew each time; all if left out.
        lead: s of sound before each sample, as in a stream; see `Hearing`.
        folder: folder with the file; default as for :func:`spikewright.data.data_folder`.

    Raises:
        ParameterError: an option is out of its range.
        DataError: when first used: the file is missing or damaged.

    Source: Piczak, ACM Multimedia 2015, doi:10.1145/2733373.2806390.

    >>> from spikewright.audio import LogEnergy
    >>> data = ESC10(LogEnergy(16000), classes=("rain", "rooster"))
    >>> data.train.shape, data.train.steps
    ((16,), 500)
    """

    source = DataSource(
        name="esc10",
        title="ESC-10, environmental sounds, 400 clips of ten classes",
        licence="CC BY 3.0",
        citation="Piczak. ESC: Dataset for environmental sound classification. ACM Multimedia "
        "2015. doi:10.1145/2733373.2806390",
        page="https://github.com/karolpiczak/ESC-10",
        files=(
            DataFile(
                "esc10/esc10-ogg.tar",
                41_871_360,
                sha256="9d3a7d86a54de0a4df88edc42ad696e423321d5227d9c8b217939947f562dd91",
            ),
        ),
    )

    def __init__(  # noqa: PLR0913 - the split and the hearing
        self,
        front_end: FrontEnd,
        *,
        classes: Sequence[str] = CLASSES,
        seconds: float = 5.0,
        fold: int = 1,
        validation: bool = False,
        copies: int = 1,
        augment: Sequence[Augment] = (),
        seed: int = 0,
        window: float | None = None,
        lead: float = 0.0,
        folder: str | Path | None = None,
    ) -> None:
        where = type(self).__name__
        self.classes = some_of(f"{where}: classes", classes, CLASSES, "ESC-10's")
        self._fold, self._validated = fold, validation
        if not 1 <= fold <= FOLDS:
            raise ParameterError(
                f"{where}: fold must be from 1 to {FOLDS}, got {fold!r}. Choose one of them."
            )
        hearing = Hearing(front_end, seconds, copies, tuple(augment), seed, window, lead=lead)
        super().__init__(hearing, folder)

    def _members(self, classes: Sequence[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
        for name in classes:
            place = f"{CLASSES.index(name) + 1:03} - {name}".lower()
            found = read_members(
                self.archive, lambda inside, place=place: inside.parent.name.lower() == place
            )
            if len(found) != CLIPS or not all(re.match(r"[1-5]-.*\.ogg$", clip) for clip in found):
                raise damaged(self.archive, f"{len(found)} of {CLIPS} clips of {name!r}")
            yield name, found

    def clips(self) -> Iterator[Clip]:
        """The clips, class by class, by fold and name."""
        for label, (name, found) in enumerate(self._members(self.classes)):
            for clip in sorted(found):
                yield Clip(f"{name}/{clip}", label, found[clip])

    def identity(self) -> Mapping[str, Any]:
        """The archive's checksum, and the classes."""
        return {**super().identity(), "classes": self.classes}

    def chosen(self, part: str, names: Sequence[str], labels: Tensor) -> Tensor:
        """By the set's own folds."""
        folds = torch.tensor([fold_of(name) for name in names]) - 1
        return of_folds(part, folds, FOLDS, self._fold - 1, self._validated)


class AmbientScenes(ESC10):
    """Scenes of 5 s: rain, a helicopter, a chainsaw or a fire, with something else in front of it.

    Made of ESC-10, in place of long recordings of ambient sound: the class is the background's.
    Each scene has one clip of the other six classes of the same fold in front of it, so that no
    source is ever both trained and tested on. The scenes that are tested on are drawn once, by
    the seed; each further copy to train on has another foreground, place and ratio.

    Args:
        snr: range of background over foreground, dB, see `spikewright.audio.mixing.Foreground`.
        options: those of `ESC10` but for ``classes``.

    >>> from spikewright.audio import XyloFrontEnd
    >>> AmbientScenes(XyloFrontEnd(16000)).train.shape
    (13,)
    """

    def __init__(
        self, front_end: FrontEnd, *, snr: tuple[float, float] = (0.0, 20.0), **options: Any
    ) -> None:
        super().__init__(front_end, classes=BACKGROUNDS, **options)
        self.name = "ambient-scenes"
        self._snr = snr

    @cached_property
    def _foregrounds(self) -> dict[int, Foreground]:
        sounds: dict[int, list[Wave]] = {fold: [] for fold in range(1, FOLDS + 1)}
        others = [name for name in CLASSES if name not in BACKGROUNDS]
        for _, found in self._members(others):
            for clip in sorted(found):
                wave = load(io.BytesIO(found[clip]), self.hearing.front_end.rate)
                sounds[fold_of(clip)].append(wave)
        return {fold: Foreground(waves, *self._snr) for fold, waves in sounds.items()}

    def clips(self) -> Iterator[Clip]:
        """The backgrounds."""
        # Several threads ask for them: make them before these start.
        self._foregrounds  # noqa: B018
        yield from super().clips()

    def identity(self) -> Mapping[str, Any]:
        """As of ESC-10, and the range of ratios."""
        return {**super().identity(), "scenes": list(self._snr)}

    def scene(self, clip: Clip, wave: Wave, copy: int) -> Wave:
        """A background with a sound of its fold in front."""
        source = seeding.generator(self.hearing.seed, "scene", clip.name, copy)
        return self._foregrounds[fold_of(clip.name)](wave, source)


def fold_of(name: str) -> int:
    """The fold that a clip's name begins with.

    >>> fold_of("rain/3-157695-A.ogg")
    3
    """
    return int(name.rpartition("/")[2][0])
