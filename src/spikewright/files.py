"""Writing a file so that its old content is there until the new one is whole."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from spikewright.errors import SpikewrightError

PARTIAL = ".partial-"
CACHE_VARIABLE = "SPIKEWRIGHT_CACHE"
"""Environment variable that names the folder for what can be made again."""


def cache_root() -> Path:
    """The folder for what can be made again: ``$SPIKEWRIGHT_CACHE``, else the user's cache."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("spikewright", appauthor=False)


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` beside ``path``, flush it to the disk, and rename it into place.

    Whenever the process dies, ``path`` holds the old content or the new one.

    Raises:
        OSError: it could not be written; ``path`` is as it was and the partial file is gone.
    """
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        _write(partial, content)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    flush_folder(path.parent)


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Make renames and removals in ``folder`` last through a power failure."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file by a rename; its folder is made where it is not there.

    Raises:
        SpikewrightError: it cannot be written; what was there before is unharmed.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as cause:
        raise SpikewrightError(
            f"files.write: {str(path)!r} must be a writable file on a disk with "
            f"{len(text) / 1e6:.1f} MB free, got {cause.strerror or cause}. "
            "Choose another path or make room."
        ) from cause
    return path


def write_json(path: str | Path, value: Any) -> Path:
    """Write JSON; see `write_text`."""
    return write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
