"""A network in whole numbers as a folder: JSON for its stages, safetensors for its weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
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
_MOST = {"shift": 1000, "shifts": 1000, "bits": 52}
"""By option, the largest that can make sense; 2^1000 is still a floating number."""
FAULTS = (
    *(SpikewrightError, LookupError, ArithmeticError),
    *(TypeError, ValueError, AttributeError, RuntimeError),
)
"""What reading a head that no save wrote may end in."""
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
    body, tensors = network_values(network)
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
        return restored_network(body, tensors)
    except FAULTS as fault:
        raise ProgramError(
            f"fpga.load_network: {folder} must hold a whole network, got a fault: {fault}. "
            "Restore the folder from a copy, or convert the network again."
        ) from fault


def network_values(network: IntegerNetwork) -> tuple[dict[str, Any], Tensors]:
    """Plain values and tensors that say all of a network."""
    tensors: Tensors = {}
    body = {
        "shape": list(network.shape),
        "bits": network.bits,
        "scale": network.scale,
        "stages": [_stored(stage, tensors) for stage in network.stages],
    }
    return body, tensors


def restored_network(body: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> IntegerNetwork:
    """The inverse of `network_values`; what is no network raises one of ``FAULTS``."""
    stages = tuple(_restored(stage, tensors) for stage in body["stages"])
    shape = tuple(_whole("shape", size, 1) for size in body["shape"])
    bits, scale = _whole("bits", body["bits"], 1), _scale(body["scale"])
    network = IntegerNetwork(shape, bits, stages, scale)
    network.run(torch.zeros(1, *shape))  # fails where stages do not fit together
    return network


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


def _restored(stored: dict[str, Any], tensors: Mapping[str, Tensor]) -> Stage:
    name, form, given = str(stored["name"]), stored["requantise"], dict(stored["operation"])
    kind = _KINDS[given.pop("kind")]
    for field in dataclasses.fields(kind):
        if field.name in given:
            given[field.name] = _option(field.name, given[field.name])
        elif f"{name}/{field.name}" in tensors:
            given[field.name] = _weights(f"{name}/{field.name}", tensors)
    inputs = tuple(map(str, stored["inputs"]))
    requantise = None
    if form is not None:
        shift, bits = form
        requantise = Requantise(_whole("shift", shift, -1000), _whole("bits", bits, 1))
    return Stage(name, inputs, kind(**given), requantise, _scale(stored["scale"]))


def _option(name: str, value: Any) -> Any:
    """Of an operation: a whole number, a pair, or the shifts of an addition."""
    if name == "groups":
        return _whole(name, value, 1)
    least = 0 if name in ("padding", "shifts") else 1
    numbers = tuple(_whole(name, each, least) for each in value)
    if name != "shifts" and len(numbers) != 2:
        raise ProgramError(f"{name} must be two numbers, got {value!r}")
    return numbers


def _weights(name: str, tensors: Mapping[str, Tensor]) -> Tensor:
    if tensors[name].dtype not in _NARROWEST:
        raise ProgramError(f"{name} must be whole numbers, got {tensors[name].dtype}")
    return tensors[name].to(torch.int64)


def _whole(name: str, value: Any, least: int) -> int:
    most = _MOST.get(name, 2**31)
    if type(value) is not int or not least <= value <= most:
        raise ProgramError(f"{name} must be a whole number from {least} to {most}, got {value!r}")
    return value


def _scale(value: Any) -> float:
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ProgramError(f"scale must be above 0 and finite, got {value!r}")
    return float(value)


def _narrow(whole: Tensor) -> Tensor:
    """In the smallest type that holds all the numbers."""
    for kind in _NARROWEST:
        if bool((whole.to(kind).to(whole.dtype) == whole).all()):
            return whole.to(kind)
    return whole
