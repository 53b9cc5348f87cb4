"""A folder of plain values and tensors that is whole at every instant and runs no code.

It holds a JSON file, the head, and the safetensors file that the head names, whose own name holds
the first digits of its checksum. A write puts the new tensors beside the old ones, then replaces
the head by a rename: that is the instant at which the new content takes over. Only then are the
old tensors removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from spikewright import files, optional
from spikewright.errors import SpikewrightError

Tensors = dict[str, Tensor]
_TENSOR_FILE = re.compile(r"tensors-[0-9a-f]{16}\.safetensors")


@dataclass(frozen=True)
class SealedFolder:
    """One kind of such folders.

    Args:
        what: what one is called in messages, ``"checkpoint"``.
        head: name of the JSON file.
        format: word that the head must hold.
        error: class of the errors of `read`; their text is the fault alone, for the caller to
            say where it is and what to do.

    >>> import tempfile, torch
    >>> from spikewright.errors import ProgramError
    >>> notes = SealedFolder("note", "note.json", "note-1", ProgramError)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     notes.write(Path(folder), {"text": "hello"}, {"w": torch.ones(2)})
    ...     body, tensors = notes.read(Path(folder))
    >>> body["text"], tensors["w"].tolist()
    ('hello', [1.0, 1.0])
    """

    what: str
    head: str
    format: str
    error: type[SpikewrightError]

    def exists(self, folder: Path) -> bool:
        """Whether one was written there, damaged or not."""
        return (folder / self.head).exists()

    def write(self, folder: Path, body: dict[str, Any], tensors: Tensors) -> None:
        """Write; what the folder held stays whole until the new content is.

        Raises:
            OSError: it cannot be written; what was there is intact.
        """
        content: bytes = optional.require("safetensors.torch").save(storable(tensors))
        digest = hashlib.sha256(content).hexdigest()
        name = f"tensors-{digest[:16]}.safetensors"
        body = body | {"format": self.format, "file": name}
        body |= {"sha256": digest, "bytes": len(content)}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files.write_atomically(folder / name, content)
            files.write_atomically(folder / self.head, seal(body))
        except OSError:
            with contextlib.suppress(OSError):
                self._sweep(folder, self._named_in_head(folder))
            raise
        self._sweep(folder, name)

    def read(self, folder: Path) -> tuple[dict[str, Any], Tensors]:
        """Read and verify the checksums. No code from the files runs.

        Raises:
            SpikewrightError: of the class ``error``: a file is missing or damaged.
        """
        try:
            body = self._read_head(folder)
            return body, self._read_tensors(folder, body)
        except FileNotFoundError as cause:
            raise self.error(f"the file {cause.filename} is missing") from cause
        except OSError as cause:
            raise self.error(f"the file {cause.filename} cannot be read: {cause}") from cause
        except (KeyError, TypeError, RecursionError) as cause:
            raise self.error(f"{self.head} does not hold what a {self.what} holds") from cause

    def _sweep(self, folder: Path, keep: str | None) -> None:
        """Remove tensors of earlier writes and what a killed one left; failing is harmless."""
        for path in folder.iterdir():
            stale = path.name.startswith(files.PARTIAL) or _TENSOR_FILE.fullmatch(path.name)
            if stale and path.name != keep:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _named_in_head(self, folder: Path) -> str | None:
        try:
            return self._read_head(folder)["file"]
        except (OSError, KeyError, self.error):
            return None

    def _read_head(self, folder: Path) -> dict[str, Any]:
        content = (folder / self.head).read_bytes()
        try:
            body = json.loads(content)["body"]
            written = seal(body)
        except (ValueError, TypeError, KeyError, RecursionError) as cause:
            raise self.error(f"{self.head} is not the JSON of a {self.what} ({cause})") from cause
        if content != written:
            raise self.error(f"{self.head} is damaged: its checksum does not fit its content")
        if not isinstance(body, dict) or body.get("format") != self.format:
            found = body.get("format") if isinstance(body, dict) else body
            raise self.error(
                f"{self.head} is of format {found!r}, this version reads {self.format!r}"
            )
        return body

    def _read_tensors(self, folder: Path, body: dict[str, Any]) -> Tensors:
        name = body["file"]
        if not (isinstance(name, str) and _TENSOR_FILE.fullmatch(name)):
            raise self.error(f"{self.head} names a tensor file {name!r} that no save would write")
        content = (folder / name).read_bytes()
        if len(content) != body["bytes"]:
            raise self.error(f"{name} has {len(content)} bytes, {body['bytes']} were saved")
        if hashlib.sha256(content).hexdigest() != body["sha256"]:
            raise self.error(f"{name} is damaged: its checksum is not that of what was saved")
        try:
            return optional.require("safetensors.torch").load(content)
        except Exception as cause:  # safetensors and torch raise many kinds for a hostile header
            raise self.error(f"{name} is not a safetensors file ({cause})") from cause


def seal(body: dict[str, Any]) -> bytes:
    """JSON text of values and their checksum, the same bytes for the same values."""
    text = _canonical(body)
    return _canonical({"body": body, "sha256": hashlib.sha256(text).hexdigest()}) + b"\n"


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":")).encode()


def storable(tensors: Tensors) -> Tensors:
    """The tensors on the CPU, contiguous, and no two of them in the same memory."""
    seen: set[int] = set()
    result: Tensors = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        memory = plain.untyped_storage().data_ptr()
        result[name] = plain.clone() if memory in seen else plain
        seen.add(memory)
    return result
