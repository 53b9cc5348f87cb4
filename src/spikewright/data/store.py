"""Where data files lie, and what is known of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spikewright import optional
from spikewright.errors import DataError

ENVIRONMENT = "SPIKEWRIGHT_DATA"
"""Environment variable that names the folder with the data files."""


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Attributes:
        path: place below the data folder.
        size: bytes; about, where the publisher makes the file on request.
        url: official source; ``None`` for a file that is only ever put there by hand.
        sha256: checksum; ``None`` where the publisher keeps none that holds.
        check: opens the file and raises DataError at a fault; asked where there is no checksum.
        stand_in: another file with the same contents that serves as well.
    """

    path: str
    size: int
    url: str | None = None
    sha256: str | None = None
    check: Callable[[Path], None] | None = None
    stand_in: DataFile | None = None


@dataclass(frozen=True)
class DataSource:
    """Name, terms and files of a data set; ``check`` replaces files for a set that is made."""

    name: str
    title: str
    licence: str
    citation: str
    page: str
    files: tuple[DataFile, ...]
    check: Callable[[], None] | None = None


def data_folder(folder: str | Path | None = None) -> Path:
    """The folder given, else that of ``SPIKEWRIGHT_DATA``, else one in the user's cache.

    >>> data_folder("/data").as_posix()
    '/data'
    """
    given = folder or os.environ.get(ENVIRONMENT)
    if given:
        return Path(given).expanduser()
    platformdirs = optional.require("platformdirs")
    return Path(platformdirs.user_cache_dir("spikewright", appauthor=False)) / "data"


def find(file: DataFile, folder: Path) -> tuple[DataFile, Path] | None:
    """The file, or what stands in for it, if it lies in ``folder``."""
    for candidate in (file, file.stand_in):
        if candidate is not None and (folder / candidate.path).is_file():
            return candidate, folder / candidate.path
    return None


def locate(source: DataSource, file: DataFile, folder: str | Path | None = None) -> Path:
    """The path of a file of a data set, downloaded into the user's cache if need be.

    A folder that the user names, by ``folder`` or ``SPIKEWRIGHT_DATA``, is only read.

    Raises:
        DataError: the named folder lacks the file, or the download fails.
    """
    root = data_folder(folder)
    found = find(file, root)
    if found:
        return found[1]
    if file.url is None:
        raise by_hand(source, file, root)
    if folder or os.environ.get(ENVIRONMENT):
        raise DataError(
            f"data: file {file.path!r} of {source.name} must lie in {root}, got nothing there. "
            f"Fetch it with: {ENVIRONMENT}={root} spikewright data fetch {source.name}; "
            f"or name no folder (argument, {ENVIRONMENT}) to use the cache with a download."
        )
    from spikewright.data.download import fetch_file

    return fetch_file(source, file, root)


def by_hand(source: DataSource, file: DataFile, folder: Path) -> DataError:
    """The error for a file that no download brings."""
    return DataError(
        f"data: file {file.path!r} of {source.name} must lie in {folder}, got "
        f"{fault_of(file, folder / file.path)}. Put it there by hand, from {source.page}."
    )


def fault_of(file: DataFile, path: Path) -> str | None:
    """What is wrong with the file at ``path``; ``None`` if it is as published."""
    if not path.is_file():
        return "absent"
    try:
        if file.sha256 is not None:
            found = sha256_of(path)
            return None if found == file.sha256 else f"SHA-256 is {found}, not {file.sha256}"
        if file.check is not None:
            file.check(path)
    except (DataError, OSError) as cause:
        return str(cause)
    return None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def damaged(path: Path | str, fault: object) -> DataError:
    """The error for a file that cannot be used as it is."""
    return DataError(
        f"data: file {path} must be whole and as published, got {fault}. "
        "Get the file anew; for a data set: spikewright data fetch NAME."
    )
