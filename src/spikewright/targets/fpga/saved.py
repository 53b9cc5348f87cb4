"""A network in whole numbers as a folder: JSON for its stages, safetensors for its weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import ProgramError, SpikewrightError
from spikewright.sealed import SealedFolder, Tensors
from spikewright.targets.fpga.integer import (
    Add,
    Convolution,
    Dense,
    Flatten,
    IntegerNetwork,
    MaxPool,
    Requantise,
    Stage,
    SumPool,
)

FOLDER = SealedFolder("integer network", "integer.json", "spikewright-integer-1", ProgramError)
_KINDS: dict[str, Any] = {
    kind.__name__: kind for kind in (Convolution, Dense, MaxPool, SumPool, Add, Flatten)
}
_NARROWEST = (torch.int8, torch.int16, torch.int32, torch.int64)


def save_network(network: IntegerNetwork, folder: str | Path) -> None:
    """Save; the network that ``folder`` holds stays whole until the new one is.

    Raises:
        ProgramError: it cannot be written; what was there is intact.

    >>> import tempfile
    >>> from spikewright.targets.fpga.integer import INPUT
    >>> net = IntegerNetwork((2,), 3, (Stage("a", (INPUT,), Add((0,)), Requantise(1, 2)),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_network(net, folder)
    ...     load_network(folder).run(torch.tensor([[5, 2]]))
    tensor([[3, 1]])
    """
    tensors: Tensors = {}
    body = {
        "shape": list(network.shape),
        "bits": network.bits,
        "scale": network.scale,
        "stages": [_stored(stage, tensors) for stage in network.stages],
    }
    try:
        FOLDER.write(Path(folder), body, tensors)
    except OSError as cause:
        raise ProgramError(
            f"fpga.save_network: {folder} must be writable, got {cause}. What it held is intact. "
            "Free space or rights there, or choose another folder."
        ) from cause


def load_network(folder: str | Path) -> IntegerNetwork:
    """Load what `save_network` wrote. No code from the files runs.

    Raises:
        ProgramError: a file is missing or damaged, or holds no network that makes sense.
    """
    try:
        body, tensors = FOLDER.read(Path(folder))
        stages = tuple(_restored(stage, tensors) for stage in body["stages"])
        shape = tuple(int(size) for size in body["shape"])
        network = IntegerNetwork(shape, int(body["bits"]), stages, float(body["scale"]))
        network.run(torch.zeros(1, *shape))  # fails where stages do not fit together
        return network
    except (SpikewrightError, KeyError, TypeError, ValueError, RuntimeError) as fault:
        raise ProgramError(
            f"fpga.load_network: {folder} must hold a whole network, got a fault: {fault}. "
            "Restore the folder from a copy, or convert the network again."
        ) from fault


def _stored(stage: Stage, tensors: Tensors) -> dict[str, Any]:
    operation: dict[str, Any] = {"kind": type(stage.operation).__name__}
    for field in dataclasses.fields(stage.operation):
        value = getattr(stage.operation, field.name)
        if isinstance(value, Tensor):
            tensors[f"{stage.name}/{field.name}"] = _narrow(value)
        else:
            operation[field.name] = value
    form = stage.requantise
    return {
        "name": stage.name,
        "inputs": stage.inputs,
        "operation": operation,
        "requantise": None if form is None else [form.shift, form.bits],
        "scale": stage.scale,
    }


def _restored(stored: dict[str, Any], tensors: Tensors) -> Stage:
    name, form, given = str(stored["name"]), stored["requantise"], dict(stored["operation"])
    kind = _KINDS[given.pop("kind")]
    for field in dataclasses.fields(kind):
        if field.name in given:
            value = given[field.name]
            given[field.name] = int(value) if field.name == "groups" else tuple(map(int, value))
        elif f"{name}/{field.name}" in tensors:
            given[field.name] = tensors[f"{name}/{field.name}"].to(torch.int64)
    inputs = tuple(map(str, stored["inputs"]))
    requantise = None if form is None else Requantise(int(form[0]), int(form[1]))
    return Stage(name, inputs, kind(**given), requantise, float(stored["scale"]))


def _narrow(whole: Tensor) -> Tensor:
    """In the smallest type that holds all the numbers."""
    for kind in _NARROWEST:
        if bool((whole.to(kind).to(whole.dtype) == whole).all()):
            return whole.to(kind)
    return whole
