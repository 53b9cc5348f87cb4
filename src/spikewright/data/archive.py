"""Read members of tar and zip archives into memory; nothing is ever unpacked to disk."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from spikewright.data.store import damaged
from spikewright.errors import DataError

FAULTS = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError)


def read_members(path: Path, wanted: Callable[[PurePosixPath], bool]) -> dict[str, bytes]:
    """The files of an archive for which ``wanted(path inside)`` holds, by their last name.

    Args:
        path: a zip, or a tar packed in any way.
        wanted: chooses members by their path inside the archive.

    Raises:
        DataError: the file is absent, truncated, damaged or no archive.
    """
    if not path.is_file():
        raise DataError(f"data: file {path} must exist, got nothing there. Check the path.")
    try:
        read = _read_zip if zipfile.is_zipfile(path) else _read_tar
        return read(path, wanted)
    except FAULTS as cause:
        raise damaged(path, f"an archive that cannot be read ({cause})") from cause


def _read_zip(path: Path, wanted: Callable[[PurePosixPath], bool]) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        return {
            PurePosixPath(name).name: archive.read(name)
            for name in names
            if wanted(PurePosixPath(name))
        }


def _read_tar(path: Path, wanted: Callable[[PurePosixPath], bool]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and wanted(PurePosixPath(member.name)):
                stream = archive.extractfile(member)
                assert stream is not None  # a regular file always has contents
                found[PurePosixPath(member.name).name] = stream.read()
    return found
