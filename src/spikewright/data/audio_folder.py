"""A user's own recordings: a folder of folders, one a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from spikewright.audio.augment import Augment
from spikewright.audio.front_end import FrontEnd
from spikewright.data.clips import ClipSet, even_folds, of_folds
from spikewright.data.hearing import Clip, Hearing, OnError
from spikewright.data.split import checked_count
from spikewright.errors import DataError, ParameterError

SUFFIXES = (".wav", ".ogg", ".oga", ".opus", ".flac", ".mp3", ".aif", ".aiff", ".au", ".caf")
FOREIGN = (".m4a", ".mp4", ".aac", ".wma", ".amr", ".webm")
"""Sound that cannot be read: refused or left out by name, as a damaged file is."""


class AudioFolder(ClipSet):
    """Clips in a folder of class folders, ``path/dog/1.wav``, through a front end.

    A batch is (time, batch, channels). Classes are the folders' names, in alphabetic order. Files
    are divided into folds, drawn by file and class by class: one is tested on, the next one
    validates, the rest trains. Clips are heard when first used, and kept in memory and the cache.

    Args:
        path: the folder; folders and files whose names begin with a dot are left out.
        front_end: hears the clips, resampled to its rate and mixed down to one channel.
        seconds: length that all clips are brought to: cut at their end, or filled with silence.
        folds: how many parts of equal size.
        fold: which of them is tested on, from 0.
        validation: whether another one validates; if not it trains too.
        copies: versions of each clip to train on; the first is the clip itself.
        augment: makes the others, see `spikewright.audio`.
        seed: of folds and augmentation.
        window: s of a clip to train on, at a place drawn anew each time; all if left out.
        on_error: ``"refuse"`` raises at a clip that cannot be read, has no samples or holds NaN;
            ``"skip"`` leaves it out; ``report`` then names it.
        lead: s of sound before each sample, as in a stream; see `Hearing`.

    Raises:
        ParameterError: an option is out of its range.
        DataError: no such folder, fewer than two classes, a class without sound files or with fewer
            clips than the split needs; when first used: a clip that cannot be used.

    >>> import tempfile, wave
    >>> from spikewright.audio import LogEnergy
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("a/1", "a/2", "b/1", "b/2"):
    ...         (Path(folder) / name).parent.mkdir(exist_ok=True)
    ...         with wave.open(f"{folder}/{name}.wav", "wb") as file:
    ...             file.setparams((1, 2, 8000, 0, "NONE", ""))
    ...             file.writeframes(b"ab" * 4000)
    ...     data = AudioFolder(folder, LogEnergy(8000), seconds=0.4, folds=2, validation=False)
    ...     x, y = data.test.batch([0, 1])
    >>> data.classes, tuple(x.shape), y.tolist()
    (('a', 'b'), (40, 2, 16), [0, 1])
    """

    def __init__(  # noqa: PLR0913 - the folder, the split and the hearing
        self,
        path: str | Path,
        front_end: FrontEnd,
        *,
        seconds: float = 1.0,
        folds: int = 5,
        fold: int = 0,
        validation: bool = True,
        copies: int = 1,
        augment: Sequence[Augment] = (),
        seed: int = 0,
        window: float | None = None,
        on_error: OnError = "refuse",
        lead: float = 0.0,
    ) -> None:
        self.path = Path(path)
        self.name = "audio-folder"
        self._folds = checked_count("AudioFolder", "folds", folds, least=2) or folds
        self._fold, self._validated = fold, validation
        if not 0 <= fold < folds or (validation and folds < 3):
            raise ParameterError(
                f"AudioFolder: fold must be from 0 to {folds - 1}, and folds at least 3 where one "
                f"validates, got fold {fold!r} of {folds!r}. Choose others."
            )
        self.classes = tuple(dict.fromkeys(file.parent.name for file in self.files))
        self._check_classes()
        super().__init__(
            Hearing(front_end, seconds, copies, tuple(augment), seed, window, on_error, lead)
        )

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """All sound files, class by class, by name."""
        if not self.path.is_dir():
            raise DataError(
                f"data.AudioFolder: path must be a folder, got {str(self.path)!r}. Check the path."
            )
        found = self.path.glob("*/*")
        return tuple(
            sorted(
                file
                for file in found
                if file.suffix.lower() in SUFFIXES + FOREIGN
                and not file.is_dir()
                and not file.name.startswith(".")
                and not file.parent.name.startswith(".")
            )
        )

    def clips(self) -> Iterator[Clip]:
        """The clips, class by class, by name."""
        for file in self.files:
            name = file.relative_to(self.path).as_posix()
            yield Clip(name, self.classes.index(file.parent.name), file)

    def identity(self) -> Mapping[str, Any]:
        """Names, sizes and times of the files."""
        states = {file.relative_to(self.path).as_posix(): _state(file) for file in self.files}
        return states | {"path": str(self.path.resolve())}

    def chosen(self, part: str, names: Sequence[str], labels: Tensor) -> Tensor:
        """By folds that are drawn class by class."""
        self._check_enough(Counter(labels.tolist()))
        folds = even_folds(labels, self._folds, self.hearing.seed)
        return of_folds(part, folds, self._folds, self._fold, self._validated)

    def _check_classes(self) -> None:
        if len(self.classes) < 2:
            raise DataError(
                f"data.AudioFolder: {self.path} must hold at least two folders with sound files "
                f"({', '.join(SUFFIXES)}), one a class, got {len(self.classes)}. "
                "Put each class's clips in a folder of its name."
            )
        self._check_none_is_bare()
        counts = Counter(self.classes.index(file.parent.name) for file in self.files)
        self._check_enough(counts)

    def _check_none_is_bare(self) -> None:
        folders = [each.name for each in sorted(self.path.iterdir()) if each.is_dir()]
        bare = [name for name in folders if name not in self.classes and not name.startswith(".")]
        if bare:
            raise DataError(
                f"data.AudioFolder: each folder must hold sound files ({', '.join(SUFFIXES)}), "
                f"got none in {bare[0]!r}. Put some there, take it out, or begin its name with a "
                "dot."
            )

    def _check_enough(self, counts: Mapping[int, int]) -> None:
        # A class of n clips is in the first n folds.
        used = [self._fold, (self._fold + 1) % self._folds] if self._validated else [self._fold]
        least = max(1 + len(used), 1 + max(used))
        for number, name in enumerate(self.classes):
            if counts.get(number, 0) < least:
                raise DataError(
                    f"data.AudioFolder: each class must have at least {least} clips that can be "
                    f"used, to train{', validate' if self._validated else ''} and test on "
                    f"fold {self._fold}, got {counts.get(number, 0)} in {name!r}. "
                    "Add clips, or take the class out."
                )


def _state(file: Path) -> list[int]:
    """Size and time; none of a link to nothing, which is refused or left out when it is heard."""
    if not file.exists():
        return []
    state = file.stat()
    return [state.st_size, state.st_mtime_ns]
