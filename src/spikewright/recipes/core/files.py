"""What runs and commands write: text and JSON, either wholly or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spikewright.errors import SpikewrightError
from spikewright.training.files import write_atomically


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
            f"write: {path} must be a writable file, got {cause.strerror or cause}. "
            "Choose another path or make room."
        ) from cause
    return path


def write_json(path: str | Path, value: Any) -> Path:
    """Write JSON; see `write_text`."""
    return write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
