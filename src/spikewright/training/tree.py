"""Nested values as a JSON skeleton and a flat table of tensors, and back, without pickle."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import CheckpointError

Tensors = dict[str, Tensor]


def flatten(value: Any, path: str, tensors: Tensors) -> Any:
    """Put the tensors of ``value`` into ``tensors`` and return the rest as plain JSON.

    Args:
        value: tensors, ``None``, bool, int, float, str, and dicts (keys str or int), lists, tuples
            and named tuples of these.
        path: prefix of the names of the tensors.
        tensors: the table that is added to.

    Raises:
        CheckpointError: something else is in it; the message names the path.

    >>> table = {}
    >>> flatten({"step": 3, "m": (torch.zeros(2),)}, "rule", table)
    {'dict': [['step', 3], ['m', {'tuple': [{'tensor': 'rule/m/0'}]}]]}
    >>> list(table)
    ['rule/m/0']
    """
    if isinstance(value, Tensor):
        while path in tensors:  # keys 1 and "1", or a key with a slash
            path += "'"
        tensors[path] = value
        return {"tensor": path} | ({} if value.device.type == "cpu" else {"accelerator": True})
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, Mapping):
        return {"dict": _flatten_items(value, path, tensors)}
    if isinstance(value, list | tuple):
        items = [flatten(item, f"{path}/{i}", tensors) for i, item in enumerate(value)]
        return _tag_sequence(value, items)
    raise CheckpointError(
        f"checkpoint: {path} must be a tensor, a plain value or a dict, list or tuple of them, got "
        f"{type(value).__name__}. Keep only values of these kinds in a state."
    )


def _flatten_items(value: Mapping[Any, Any], path: str, tensors: Tensors) -> list[Any]:
    for key in value:
        if type(key) not in (str, int):
            raise CheckpointError(
                f"checkpoint: keys of {path} must be str or int, got {key!r}. Rename the key."
            )
    return [[key, flatten(item, f"{path}/{key}", tensors)] for key, item in value.items()]


def _tag_sequence(value: list[Any] | tuple[Any, ...], items: list[Any]) -> Any:
    kind: Any = type(value)
    if kind is list:
        return items
    if kind is tuple:
        return {"tuple": items}
    return {
        "named": [kind.__module__, kind.__qualname__],
        "fields": list(kind._fields),
        "of": items,
    }


def unflatten(skeleton: Any, tensors: Tensors, device: torch.device | str = "cpu") -> Any:
    """Build the value again that `flatten` took apart.

    A named tuple is looked up among the classes that are already imported; nothing is imported
    and no code of the class runs. A tensor that was on an accelerator goes to ``device``.

    Raises:
        CheckpointError: the skeleton is not one, or names a tensor or class that is not there.

    >>> unflatten({"tuple": [1, {"float": "inf"}]}, {})
    (1, inf)
    """
    if isinstance(skeleton, list):
        return [unflatten(item, tensors, device) for item in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    match skeleton:
        case {"tensor": str(name)} if name in tensors:
            return tensors[name].to(device) if skeleton.get("accelerator") else tensors[name]
        case {"float": ("nan" | "inf" | "-inf") as text}:
            return float(text)
        case {"tuple": list(items)}:
            return tuple(unflatten(item, tensors, device) for item in items)
        case {"named": [str(module), str(name)], "fields": list(fields), "of": list(items)}:
            kind = _named_tuple(module, name, fields, len(items))
            return tuple.__new__(kind, [unflatten(item, tensors, device) for item in items])
        case {"dict": list(items)}:
            return dict(_unflatten_item(item, tensors, device) for item in items)
        case _:
            raise CheckpointError(f"its entry {str(skeleton)[:80]!r} is not a known form")


def _unflatten_item(item: Any, tensors: Tensors, device: Any) -> tuple[str | int, Any]:
    match item:
        case [str() | int() as key, value]:
            return key, unflatten(value, tensors, device)
        case _:
            raise CheckpointError(f"its entry {str(item)[:80]!r} is not a key and a value")


def _named_tuple(module: str, name: str, fields: list[str], length: int) -> type[Any]:
    kind: Any = sys.modules.get(module)
    for part in name.split("."):
        kind = getattr(kind, part, None)
    known = getattr(kind, "_fields", None)
    if not (isinstance(kind, type) and issubclass(kind, tuple) and known == tuple(fields)):
        raise CheckpointError(
            f"it holds a {name} of module {module!r} with fields {fields}, which is not imported"
        )
    if length != len(fields):
        raise CheckpointError(f"it holds a {name} with {length} values for {len(fields)} fields")
    return kind


def describe(tensor: Tensor) -> str:
    """Type and shape in a few letters.

    >>> describe(torch.zeros(3, 5))
    'float32 (3, 5)'
    """
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
