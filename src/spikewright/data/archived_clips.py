"""Sets of short recordings that lie in one published archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from spikewright.data.clips import ClipSet
from spikewright.data.hearing import Hearing
from spikewright.data.store import DataSource, locate, sha256_of
from spikewright.errors import ParameterError, nearest


class ArchivedClips(ClipSet):
    """Clips of one archive, the only file of ``source``; a subclass reads and divides them.

    Args:
        hearing: how clips are turned into frames.
        folder: folder with the file; default as for :func:`spikewright.data.data_folder`.
    """

    source: DataSource

    def __init__(self, hearing: Hearing, folder: str | Path | None) -> None:
        self.name = self.source.name
        self._folder = folder
        super().__init__(hearing)

    @cached_property
    def archive(self) -> Path:
        """Where the archive lies.

        Raises:
            DataError: it is missing or cannot be fetched.
        """
        return locate(self.source, self.source.files[0], self._folder)

    def identity(self) -> Mapping[str, Any]:
        """The archive's checksum."""
        return {"archive": sha256_of(self.archive)}


def some_of(option: str, given: Sequence[str], known: Sequence[str], whose: str) -> tuple[str, ...]:
    """The classes asked for, if they are at least two of those known, each once.

    >>> some_of("ESC10: classes", ["rain", "rooster"], ["rain", "rooster", "dog bark"], "ESC-10's")
    ('rain', 'rooster')
    """
    unknown = [name for name in given if name not in known]
    if unknown or len(set(given)) < max(2, len(given)):
        raise ParameterError(
            f"{option} must be at least two of {whose}, each once, got {tuple(given)!r}. "
            f"{nearest((unknown or [''])[0], known)}"
        )
    return tuple(given)
