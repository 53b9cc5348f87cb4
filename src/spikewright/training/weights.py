"""A checkpoint's tensors back into a network, or why they do not fit it."""

from __future__ import annotations

import hashlib
import re
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
_LISTED = 8
_OPTIONS = ("surrogate", "firing", "options_of_step", "refractory", "noise")
_WAY_OUT = "Change it back, or start anew with resume=False."


def load_weights(network: nn.Module, folder: str | Path) -> dict[str, Any]:
    """Load the network of a checkpoint, such as ``run/best``, into ``network``.

    Args:
        network: built like the one that was saved; sizes must be bound (`Network.build`).
        folder: the checkpoint.

    Returns:
        What was saved beside the tensors (settings, versions, the metrics at that point).

    Raises:
        CheckpointError: the checkpoint is damaged, or of another network or dt; the message lists
            the tensors that differ, or names the setting of a layer that does. ``network`` is
            then unchanged. A surrogate or a bound may differ: they shape training only.
    """
    checkpoint = load_checkpoint(folder)
    check_tensors(network, checkpoint, str(folder))
    here, saved = describe_network(network), checkpoint.meta.get("network", {})
    way_out = "Build the network with what was saved."
    check_options(here, saved, str(folder), way_out, ignore=("surrogate", "_edges"))
    restore_network(network, checkpoint, str(folder))
    return checkpoint.meta


def describe_network(network: nn.Module) -> dict[str, Any]:
    """dt, the class of each layer and its settings, to be compared before tensors are.

    The settings are those that no tensor of the right shape gives away, as text: the options of
    each module in the layer, and the values of those neuron parameters that are not learnable.

    >>> describe_network(nn.Linear(2, 3))
    {'dt': None, 'layers': {}, 'options': {}}
    """
    layers: Mapping[str, nn.Module] = getattr(network, "layers", {})
    return {
        "dt": getattr(network, "dt", None),
        "layers": {name: type(layer).__name__ for name, layer in layers.items()},
        "options": {name: _describe_layer(layer) for name, layer in layers.items()},
    }


def plain_repr(value: object) -> str:
    """``repr`` without what another process would say otherwise; a class that has none by name.

    >>> plain_repr(object()), plain_repr([object()])
    ('object', '[<object object>]')
    """
    if type(value).__repr__ is object.__repr__:
        return type(value).__name__
    return _without_addresses(repr(value))


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


def _describe_layer(layer: nn.Module) -> dict[str, str]:
    """The options of each module in the layer, by dotted name."""
    options: dict[str, str] = {}
    for path, module in layer.named_modules():
        found = _describe_module(module)
        options |= {f"{path}.{name}".lstrip("."): text for name, text in found.items()}
    return options


def _describe_module(module: nn.Module) -> dict[str, str]:
    parameters = getattr(module, "parameter_set", None)
    if not isinstance(parameters, nn.Module):  # a neuron's text would hold what it learns
        text = module.extra_repr()
        return {"options": _without_addresses(text)} if text else {}
    options = {name: getattr(module, name) for name in _OPTIONS if hasattr(module, name)}
    if "options_of_step" in options:
        options["options_of_step"] = dict(sorted(options["options_of_step"].items()))
        options["options_of_step"].pop("firing", None)
    fixed = {name: _describe_values(value) for name, value in parameters.named_buffers()}
    return {name: plain_repr(value) for name, value in options.items()} | fixed


def _describe_values(tensor: Tensor) -> str:
    """The exact numbers, or where they are many a digest of them."""
    values = repr(tensor.detach().cpu().tolist())
    if tensor.numel() <= _LISTED:
        return values
    digest = hashlib.sha256(values.encode()).hexdigest()[:16]
    return f"{tuple(tensor.shape)} values, sha256 {digest}"


def check_options(
    here: Mapping[str, Any],
    saved: Mapping[str, Any],
    where: str,
    way_out: str = _WAY_OUT,
    ignore: tuple[str, ...] = (),
) -> None:
    """Raise CheckpointError where a layer's settings are not those that were saved.

    Layers that are not in both are left to `check_tensors`.

    Args:
        here: the network, by `describe_network`.
        saved: likewise, from the checkpoint; one without settings is not compared.
        where: the checkpoint, for the message.
        way_out: the message's last sentence.
        ignore: ends of the names of settings that may differ.
    """
    for layer, before in saved.get("options", {}).items():
        now = here["options"].get(layer)
        if now is None or saved["layers"].get(layer) != here["layers"][layer]:
            continue
        for name in dict.fromkeys([*before, *now]):
            if name.endswith(ignore) or before.get(name) == now.get(name):
                continue
            raise CheckpointError(
                f"{where}: {name} of layer {layer!r} must be what was saved, "
                f"{before.get(name, 'no fixed value')}, got {now.get(name, 'no fixed value')}. "
                f"{way_out}"
            )


def restore_network(network: nn.Module, checkpoint: Checkpoint, where: str) -> None:
    """Copy the tensors into ``network`` if every one fits, else change nothing and raise."""
    check_tensors(network, checkpoint, where)
    with torch.no_grad():
        network.load_state_dict(checkpoint.network)


def check_tensors(network: nn.Module, checkpoint: Checkpoint, where: str) -> None:
    """Raise CheckpointError unless dt, layers and the shapes of all tensors are the network's."""
    _check_description(network, checkpoint.meta.get("network", {}), where)
    differences = list_differences(network.state_dict(), checkpoint.network)
    if differences:
        more = len(differences) - _SHOWN
        shown = differences[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])
        raise CheckpointError(
            f"{where}: tensors must be those of the network, got {'; '.join(shown)}. "
            "Build the network as it was when saved, or train into another folder."
        )


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
