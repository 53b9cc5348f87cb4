"""A checkpoint's tensors back into a network, or why they do not fit it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.errors import CheckpointError
from spikewright.training.checkpoint import Checkpoint, load_checkpoint
from spikewright.training.tree import describe
from spikewright.units import format_seconds

_SHOWN = 6


def load_weights(network: nn.Module, folder: str | Path) -> dict[str, Any]:
    """Load the network of a checkpoint, such as ``run/best``, into ``network``.

    Args:
        network: built like the one that was saved; sizes must be bound (`Network.build`).
        folder: the checkpoint.

    Returns:
        What was saved beside the tensors (settings, versions, the metrics at that point).

    Raises:
        CheckpointError: the checkpoint is damaged, or of another network or dt; the message lists
            the tensors that differ. ``network`` is then unchanged.
    """
    checkpoint = load_checkpoint(folder)
    restore_network(network, checkpoint, str(folder))
    return checkpoint.meta


def describe_network(network: nn.Module) -> dict[str, Any]:
    """dt and the class of each layer, to be compared before tensors are.

    >>> describe_network(nn.Linear(2, 3))
    {'dt': None, 'layers': {}}
    """
    layers: Mapping[str, nn.Module] = getattr(network, "layers", {})
    return {
        "dt": getattr(network, "dt", None),
        "layers": {name: type(layer).__name__ for name, layer in layers.items()},
    }


def restore_network(network: nn.Module, checkpoint: Checkpoint, where: str) -> None:
    """Copy the tensors into ``network`` if every one fits, else change nothing and raise."""
    _check_description(network, checkpoint.meta.get("network", {}), where)
    differences = list_differences(network.state_dict(), checkpoint.network)
    if differences:
        more = len(differences) - _SHOWN
        shown = differences[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])
        raise CheckpointError(
            f"{where}: tensors must be those of the network, got {'; '.join(shown)}. "
            "Build the network as it was when saved, or train into another folder."
        )
    with torch.no_grad():
        network.load_state_dict(checkpoint.network)


def _check_description(network: nn.Module, saved: Mapping[str, Any], where: str) -> None:
    here = describe_network(network)
    if saved.get("dt") != here["dt"]:
        raise CheckpointError(
            f"{where}: dt of the checkpoint must be the network's, {_time(here['dt'])}, got "
            f"{_time(saved.get('dt'))}. Build the network with that dt, or train into another "
            "folder."
        )
    before = saved.get("layers", {})
    if before != here["layers"]:
        raise CheckpointError(
            f"{where}: layers of the checkpoint must be the network's, {_list(here['layers'])}, "
            f"got {_list(before)}. Build the network as it was when saved, or train into another "
            "folder."
        )


def _time(dt: float | None) -> str:
    return "none" if dt is None else format_seconds(dt)


def _list(layers: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in layers.items()) or "none"


def list_differences(network: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> list[str]:
    """One line for each tensor that is missing, extra, or of another type or shape.

    >>> list_differences({"a": torch.zeros(2), "b": torch.zeros(1)}, {"a": torch.zeros(3)})
    ["'a' is float32 (3,), the network's float32 (2,)", "'b' is missing"]
    """
    lines = [
        f"{name!r} is {describe(saved[name])}, the network's {describe(tensor)}"
        if name in saved
        else f"{name!r} is missing"
        for name, tensor in network.items()
        if name not in saved or describe(saved[name]) != describe(tensor)
    ]
    return lines + [f"{name!r} is not in the network" for name in saved if name not in network]
