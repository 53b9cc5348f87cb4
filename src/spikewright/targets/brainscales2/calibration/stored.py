"""Settings of a chip as a folder of files: safetensors for the numbers, JSON for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright.errors import ProgramError
from spikewright.sealed import SealedFolder
from spikewright.targets.brainscales2.chip import CIRCUITS, MOST_CODE
from spikewright.targets.brainscales2.settings import Settings
from spikewright.targets.brainscales2.transfer import BASIC, TRANSFER

_FOLDER = SealedFolder("calibration", "settings.json", "brainscales2-settings-1", ProgramError)
_KINDS = {"code": torch.int16, "measured": torch.float64}


def save_settings(folder: str | Path, settings: Settings) -> None:
    """Save settings; those that ``folder`` holds stay whole until the new ones are.

    Args:
        folder: made where it is not there.

    Raises:
        ProgramError: it cannot be written.

    >>> import tempfile
    >>> from spikewright.targets.brainscales2.calibration import nominal
    >>> from spikewright.targets.brainscales2.settings import same_for_all
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_settings(folder, nominal(same_for_all()))
    ...     int(load_settings(folder).codes["v_leak"][0])
    333
    """
    groups: Mapping[str, Mapping[str, NDArray[Any]]] = {
        "code": settings.codes,
        "measured": settings.measured,
    }
    tensors = {
        f"{kind}.{name}": torch.from_numpy(np.ascontiguousarray(values)).to(_KINDS[kind])
        for kind, group in groups.items()
        for name, values in group.items()
    }
    body = {"dead": {str(circuit): reason for circuit, reason in settings.dead.items()}}
    try:
        _FOLDER.write(Path(folder), body, tensors)
    except OSError as cause:
        raise ProgramError(
            f"save_settings: {folder} must be writable, got {cause}. "
            "Free space or rights there, or choose another folder."
        ) from cause


def load_settings(folder: str | Path) -> Settings:
    """Read settings and verify their checksums. No code from the files runs.

    Raises:
        ProgramError: a file is missing or damaged; names the fault.
    """
    try:
        body, tensors = _FOLDER.read(Path(folder))
        return _settings(body, tensors)
    except ProgramError as fault:
        raise ProgramError(
            f"load_settings: {folder} must be a whole calibration, got a fault: {fault}. "
            "Calibrate the chip anew, or restore the folder from a copy."
        ) from fault.__cause__


def _settings(body: dict[str, Any], tensors: dict[str, Tensor]) -> Settings:
    groups: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}
    for key, tensor in tensors.items():
        kind, _, name = key.partition(".")
        if name not in TRANSFER or tensor.dtype != _KINDS.get(kind) or len(tensor) != CIRCUITS:
            raise ProgramError(f"{key!r} is not what a calibration holds")
        groups[kind][name] = tensor.numpy()
    missing = [name for name in BASIC if any(name not in group for group in groups.values())]
    if missing:
        raise ProgramError(f"there is nothing for {missing[0]}")
    for name, codes in groups["code"].items():
        if codes.min() < 0 or codes.max() > MOST_CODE:
            raise ProgramError(f"codes of {name} are not from 0 to {MOST_CODE}")
    return Settings(groups["code"], groups["measured"], _dead(body.get("dead")))


def _dead(value: Any) -> dict[int, str]:
    try:
        dead = {int(circuit): str(reason) for circuit, reason in value.items()}
    except (AttributeError, ValueError) as cause:
        raise ProgramError("the list of dead circuits is none") from cause
    if any(not 0 <= circuit < CIRCUITS for circuit in dead):
        raise ProgramError(f"a dead circuit is not from 0 to {CIRCUITS - 1}")
    return dead
