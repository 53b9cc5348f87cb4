"""Checkpoints: safetensors for the tensors, JSON for the rest, whole at every instant.

A checkpoint is a folder with ``checkpoint.json`` and the tensor file that it names, whose own name
holds the first digits of its checksum. A save writes the new tensor file beside the old one, then
replaces ``checkpoint.json`` by a rename: that is the instant at which the new checkpoint takes
over. Only then are the old tensors removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from spikewright import files, optional
from spikewright.errors import CheckpointError
from spikewright.training.tree import Tensors, flatten, storable, unflatten

HEAD = "checkpoint.json"
FORMAT = "spikewright-checkpoint-1"
_TENSOR_FILE = re.compile(r"tensors-[0-9a-f]{16}\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """What was saved: the network's tensors by name, the rule's state, and the rest."""

    network: dict[str, Tensor]
    rule_state: Any
    meta: dict[str, Any]


def save_checkpoint(
    folder: str | Path,
    network_state: Mapping[str, Tensor],
    rule_state: Any,
    meta: Mapping[str, Any],
) -> None:
    """Save a checkpoint; the one that ``folder`` holds stays whole until the new one is.

    Args:
        folder: made where it is not there.
        network_state: ``network.state_dict()``.
        rule_state: nested tensors and plain values.
        meta: likewise: settings, versions, positions, random streams.

    Raises:
        CheckpointError: it cannot be written (a full disk, say) or a state holds another kind of
            value. The checkpoint from before is intact.

    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(folder, {"w": torch.ones(2)}, None, {"epoch": 3})
    ...     load_checkpoint(folder).meta["epoch"]
    3
    """
    folder = Path(folder)
    tensors: Tensors = {}
    state = dict(network_state)
    body = {name: flatten(value, name, tensors) for name, value in _parts(state, rule_state, meta)}
    content: bytes = optional.require("safetensors.torch").save(storable(tensors))
    digest = hashlib.sha256(content).hexdigest()
    name = f"tensors-{digest[:16]}.safetensors"
    body |= {"format": FORMAT, "file": name, "sha256": digest, "bytes": len(content)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.write_atomically(folder / name, content)
        files.write_atomically(folder / HEAD, _seal(body))
    except OSError as cause:
        _refuse_write(folder, cause)
    _sweep(folder, name)


def _parts(state: dict[str, Tensor], rule_state: Any, meta: Mapping[str, Any]) -> Any:
    return [("network", state), ("rule", rule_state), ("meta", meta)]


def _refuse_write(folder: Path, cause: OSError) -> NoReturn:
    before = "The checkpoint from before is intact. " if has_checkpoint(folder) else ""
    with contextlib.suppress(OSError):
        _sweep(folder, _named_in_head(folder))
    raise CheckpointError(
        f"save_checkpoint: {folder} must be writable, got {cause}. "
        f"{before}Free space or rights there, or choose another folder."
    ) from cause


def _seal(body: dict[str, Any]) -> bytes:
    text = _canonical(body)
    return _canonical({"body": body, "sha256": hashlib.sha256(text).hexdigest()}) + b"\n"


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":")).encode()


def _sweep(folder: Path, keep: str | None) -> None:
    """Remove tensors of earlier checkpoints and what a killed save left; failing is harmless."""
    for path in folder.iterdir():
        stale = path.name.startswith(files.PARTIAL) or _TENSOR_FILE.fullmatch(path.name)
        if stale and path.name != keep:
            with contextlib.suppress(OSError):
                path.unlink()


def _named_in_head(folder: Path) -> str | None:
    try:
        return _read_head(folder)["file"]
    except (OSError, CheckpointError):
        return None


def has_checkpoint(folder: str | Path) -> bool:
    """Whether a checkpoint was saved in ``folder``, damaged or not."""
    return (Path(folder) / HEAD).exists()


def load_checkpoint(folder: str | Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a checkpoint and verify its checksums. No code from the files runs.

    Args:
        folder: what `save_checkpoint` wrote.
        device: where those tensors of the rule's state go that were on an accelerator.

    Raises:
        CheckpointError: a file is missing or damaged; names the file and the fault, and an intact
            checkpoint beside it where there is one.
    """
    folder = Path(folder)
    try:
        return _load(folder, device)
    except CheckpointError as fault:
        raise CheckpointError(
            f"load_checkpoint: {folder} must be a whole checkpoint, got a fault: {fault}. "
            f"{_way_on(folder)}"
        ) from fault.__cause__


def _load(folder: Path, device: torch.device | str) -> Checkpoint:
    try:
        body = _read_head(folder)
        tensors = _read_tensors(folder, body)
        network, rule_state, meta = (
            unflatten(body[part], tensors, device) for part in ("network", "rule", "meta")
        )
    except FileNotFoundError as cause:
        raise CheckpointError(f"the file {cause.filename} is missing") from cause
    except OSError as cause:
        raise CheckpointError(f"the file {cause.filename} cannot be read: {cause}") from cause
    except (KeyError, TypeError, RecursionError) as cause:
        raise CheckpointError(f"{HEAD} does not hold what a checkpoint holds") from cause
    if not (isinstance(network, dict) and isinstance(meta, dict)):
        raise CheckpointError(f"{HEAD} does not hold what a checkpoint holds")
    return Checkpoint(network, rule_state, meta)


def _read_head(folder: Path) -> dict[str, Any]:
    content = (folder / HEAD).read_bytes()
    try:
        body = json.loads(content)["body"]
        written = _seal(body)
    except (ValueError, TypeError, KeyError, RecursionError) as cause:
        raise CheckpointError(f"{HEAD} is not the JSON of a checkpoint ({cause})") from cause
    if content != written:
        raise CheckpointError(f"{HEAD} is damaged: its checksum does not fit its content")
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        found = body.get("format") if isinstance(body, dict) else body
        raise CheckpointError(f"{HEAD} is of format {found!r}, this version reads {FORMAT!r}")
    return body


def _read_tensors(folder: Path, body: dict[str, Any]) -> Tensors:
    name = body["file"]
    if not (isinstance(name, str) and _TENSOR_FILE.fullmatch(name)):
        raise CheckpointError(f"{HEAD} names a tensor file {name!r} that no save would write")
    content = (folder / name).read_bytes()
    if len(content) != body["bytes"]:
        raise CheckpointError(f"{name} has {len(content)} bytes, {body['bytes']} were saved")
    if hashlib.sha256(content).hexdigest() != body["sha256"]:
        raise CheckpointError(f"{name} is damaged: its checksum is not that of what was saved")
    try:
        return optional.require("safetensors.torch").load(content)
    except Exception as cause:  # safetensors and torch raise many kinds for a hostile header
        raise CheckpointError(f"{name} is not a safetensors file ({cause})") from cause


def _way_on(folder: Path) -> str:
    for other in (folder.with_name("last"), folder.with_name("best")):
        if other == folder:
            continue
        with contextlib.suppress(CheckpointError):
            _load(other, "cpu")
            return (
                f"The checkpoint {other} is intact: fit(..., resume={other.name!r}) goes on from "
                "it, resume=False starts anew."
            )
    return "Restore the folder from a copy, or start anew with fit(..., resume=False)."
