"""Whether there is a run to take up, and whether it is the same run."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from spikewright.engine.forward import ForwardProgram
from spikewright.engine.products.costs import costs_in_force
from spikewright.errors import CheckpointError
from spikewright.learning import processes
from spikewright.training.checkpoint import has_checkpoint
from spikewright.training.metrics import FILE
from spikewright.training.settings import FitSettings
from spikewright.training.weights import plain_repr

_MUST_MATCH = (
    "rule",
    "rule_settings",
    "forward",
    "seed",
    "batch_size",
    "precision",
    "processes",
    "samples",
    "costs",
)


def find_checkpoint(settings: FitSettings) -> Path | None:
    """The checkpoint to go on from, by ``settings.resume``; ``None`` to start anew.

    Raises:
        CheckpointError: there should be one and is not.
    """
    if settings.folder is None or settings.resume is False:
        return None
    folder = Path(settings.folder)
    name = settings.resume if settings.resume not in (True, "auto") else "last"
    source = folder / str(name)
    if has_checkpoint(source):
        return source
    if settings.resume == "auto" and not _traces(folder):
        return None
    best = " resume='best' goes on from the best one," if has_checkpoint(folder / "best") else ""
    raise CheckpointError(
        f"fit: {source} must hold a checkpoint to resume, got none.{best} resume=False starts anew."
    )


def _traces(folder: Path) -> bool:
    """Whether a run was here: its first act is to save ``last``, so ``last`` was lost."""
    log = folder / FILE
    return has_checkpoint(folder / "best") or (log.exists() and log.stat().st_size > 0)


def describe_run(
    rule: object, settings: FitSettings, samples: int, forward: ForwardProgram | None = None
) -> dict[str, Any]:
    """What must stay the same for a resumed run to equal an uninterrupted one, and versions."""
    return {
        "rule": type(rule).__name__,
        "rule_settings": plain_repr(rule),
        "forward": None if forward is None else forward.kind,
        "seed": settings.seed,
        "batch_size": settings.batch_size,
        "precision": settings.precision,
        "processes": processes.world_size(),
        "samples": samples,
        "costs": asdict(costs_in_force()),
        "versions": {
            "spikewright": _version(),
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
    }


def _version() -> str:
    try:
        return importlib.metadata.version("spikewright")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def check_same_run(source: Path, meta: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Raise CheckpointError where the saved run had another order of samples or another rule."""
    saved = meta.get("run")
    if not isinstance(saved, Mapping):
        raise CheckpointError(
            f"fit: {source} must be a checkpoint of fit, got one without its settings. "
            "Start anew with resume=False."
        )
    for name in _MUST_MATCH:
        if saved.get(name) != here[name]:
            raise CheckpointError(
                f"fit: {name} must be that of the run in {source}, {saved.get(name)!r}, got "
                f"{here[name]!r}. Change it back, train into another folder, or start anew with "
                "resume=False."
            )
