"""Where metrics go: one JSON object a line, and TensorBoard on request.

A line is ``{"kind", "epoch", "step", "loss", "accuracy", "rates": {layer: spikes per step and
neuron}, "seconds", ...}``, with ``"active": {layer: share inside the surrogate's window}`` where
there is one. ``kind`` is ``train`` (means over an epoch), ``validation``, ``test``
or ``batch`` (one batch); ``epoch`` and ``step`` count from the start, epochs from 1; ``seconds``
is time in training up to then. A value that is not finite is ``null``.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, Protocol

from spikewright import optional
from spikewright.errors import CheckpointError, DataError
from spikewright.training.means import NESTED
from spikewright.training.settings import Record

FILE = "metrics.jsonl"


class Writer(Protocol):
    """Takes records one by one."""

    def write(self, record: Record) -> None: ...

    def close(self) -> None: ...


class JsonLines:
    """Appends records to ``folder/metrics.jsonl``; each is in the file when `write` returns."""

    def __init__(self, folder: Path, position: int = 0) -> None:
        """Open the file and cut it at ``position`` bytes, so that a resumed run repeats no line.

        Raises:
            CheckpointError: the file is missing, shorter than that, or cannot be written.
        """
        self.path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            size = self.path.stat().st_size if self.path.exists() else 0
            if size < position:
                raise CheckpointError(
                    f"fit: {self.path} must hold the {position} bytes of the run so far, got "
                    f"{size}. Restore the file, or start anew with resume=False."
                )
            self._file = open(self.path, "ab")  # noqa: SIM115 (lives as long as the run)
            self._file.truncate(position)
        except OSError as cause:
            raise _unwritable(self.path, cause) from cause

    @property
    def position(self) -> int:
        """Bytes written so far, all of them on the disk."""
        os.fsync(self._file.fileno())
        return self._file.tell()

    def write(self, record: Record) -> None:
        """Append one line.

        Raises:
            CheckpointError: it cannot be written.
        """
        line = json.dumps(_finite(record), allow_nan=False) + "\n"
        try:
            self._file.write(line.encode())
            self._file.flush()
        except OSError as cause:
            raise _unwritable(self.path, cause) from cause

    def close(self) -> None:
        self._file.close()


def _unwritable(path: Path, cause: OSError) -> CheckpointError:
    return CheckpointError(
        f"fit: {path} must be writable, got {cause}. "
        "Free space or rights there, or choose another folder."
    )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_metrics(path: str | Path, position: int | None = None) -> list[Record]:
    """Read the records of a run.

    Args:
        path: the file, or the folder of the run.
        position: bytes to read; all by default. A last line that was cut off by a killed process
            is left out.

    Raises:
        DataError: the file is missing, or a line is not a JSON object.
    """
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    try:
        content = path.read_bytes()[:position]
    except OSError as cause:
        raise DataError(
            f"read_metrics: {path} must be a readable file, got {cause}. Pass the folder of a run."
        ) from cause
    whole = content[: content.rfind(b"\n") + 1]
    return [_parse(path, number, line) for number, line in enumerate(whole.splitlines(), 1)]


def _parse(path: Path, number: int, line: bytes) -> Record:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise DataError(
            f"read_metrics: line {number} of {path} must be a JSON object, got {line[:40]!r}. "
            "Remove the line."
        )
    return record


class TensorBoard:
    """Writes each number of a record as a curve ``kind/name`` over batches."""

    def __init__(self, folder: Path, step: int) -> None:
        """Open a writer that hides what an earlier part of the run wrote from ``step`` on.

        Raises:
            MissingDependency: the extra ``tensorboard`` is not installed.
        """
        optional.require("tensorboard", extra="tensorboard")
        module = optional.require("torch.utils.tensorboard", extra="tensorboard")
        self._writer = module.SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def write(self, record: Record) -> None:
        """Add one point to each curve."""
        for name, value in _curves(record):
            self._writer.add_scalar(f"{record['kind']}/{name}", value, record["step"])

    def close(self) -> None:
        self._writer.close()


def _curves(record: Record) -> list[tuple[str, float]]:
    flat = {k: v for k, v in record.items() if isinstance(v, int | float) and k != "step"}
    for group in NESTED:
        flat |= {f"{group}/{layer}": value for layer, value in record.get(group, {}).items()}
    return list(flat.items())
