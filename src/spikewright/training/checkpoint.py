"""Checkpoints: safetensors for the tensors, JSON for the rest, whole at every instant.

How a save takes over from the one before says `spikewright.sealed`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import CheckpointError
from spikewright.sealed import SealedFolder, Tensors
from spikewright.training.tree import flatten, unflatten

HEAD = "checkpoint.json"
FORMAT = "spikewright-checkpoint-1"
_FOLDER = SealedFolder("checkpoint", HEAD, FORMAT, CheckpointError)


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
    try:
        _FOLDER.write(folder, body, tensors)
    except OSError as cause:
        before = "The checkpoint from before is intact. " if has_checkpoint(folder) else ""
        raise CheckpointError(
            f"save_checkpoint: {folder} must be writable, got {cause}. "
            f"{before}Free space or rights there, or choose another folder."
        ) from cause


def _parts(state: dict[str, Tensor], rule_state: Any, meta: Mapping[str, Any]) -> Any:
    return [("network", state), ("rule", rule_state), ("meta", meta)]


def has_checkpoint(folder: str | Path) -> bool:
    """Whether a checkpoint was saved in ``folder``, damaged or not."""
    return _FOLDER.exists(Path(folder))


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
    body, tensors = _FOLDER.read(folder)
    try:
        network, rule_state, meta = (
            unflatten(body[part], tensors, device) for part in ("network", "rule", "meta")
        )
    except (KeyError, TypeError, RecursionError) as cause:
        raise CheckpointError(f"{HEAD} does not hold what a checkpoint holds") from cause
    if not (isinstance(network, dict) and isinstance(meta, dict)):
        raise CheckpointError(f"{HEAD} does not hold what a checkpoint holds")
    return Checkpoint(network, rule_state, meta)


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
