"""Files that are either wholly written or not touched."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from spikewright.errors import SpikewrightError


def write_text(path: Path, text: str) -> Path:
    """Write ``text`` to ``path`` through a temporary file beside it and a rename.

    Raises:
        SpikewrightError: the file cannot be written; what was there before is unharmed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text.encode("utf-8"))
    except OSError as cause:
        raise SpikewrightError(
            f"report.save: {str(path)!r} must be a writable file on a disk with "
            f"{len(text) / 1e6:.0f} MB free, got {cause}. Choose another path or make room."
        ) from cause
    return path


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(_permissions(path))
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _permissions(path: Path) -> int:
    """Those of the file that is replaced; a temporary file alone would be private."""
    return path.stat().st_mode & 0o777 if path.exists() else 0o644
