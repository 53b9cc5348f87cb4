"""A key for the content of a step function, so that a cached kernel is found without tracing.

Two functions have the same fingerprint only if they do the same: the key covers byte code,
constants, defaults, closures and, recursively, the global functions and values the code names.
What cannot be covered safely raises `Unknown`; the step is then traced each time instead.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import numpy as np
import torch

STABLE_PACKAGES = {"torch": torch.__version__, "numpy": np.__version__, "builtins": sys.version}


class Unknown(Exception):
    """An object whose content cannot be covered by a key."""


def fingerprint(*objects: Any) -> str:
    """A hexadecimal key for the content of ``objects``.

    Raises:
        Unknown: an object is of a kind whose content cannot be covered.

    >>> fingerprint(1.5, "a") == fingerprint(1.5, "a") != fingerprint(1.5, "b")
    True
    """
    digest = hashlib.sha256()
    for part in _parts(objects, set()):
        digest.update(part.encode("utf-8", "backslashreplace"))
        digest.update(b"\0")
    return digest.hexdigest()


def _parts(value: Any, seen: set[int]) -> Iterator[str]:
    """The content of ``value`` as a stream of strings."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        yield f"{type(value).__name__}:{value!r}"
    elif isinstance(value, torch.dtype | torch.Size | Enum):
        yield str(value)
    elif isinstance(value, torch.Tensor):
        if value.numel() > 1024 or value.device.type != "cpu":
            raise Unknown(f"a tensor of {value.numel()} elements")
        yield f"tensor:{value.dtype}:{value.tolist()!r}"
    elif id(value) in seen:
        yield "again"
    else:
        yield from _compound(value, seen | {id(value)})


def _compound(value: Any, seen: set[int]) -> Iterator[str]:
    if isinstance(value, tuple | list):
        yield f"{type(value).__qualname__}:{len(value)}"
        for item in value:
            yield from _parts(item, seen)
    elif isinstance(value, dict):
        yield f"dict:{len(value)}"
        for key in value:
            yield from _parts(key, seen)
            yield from _parts(value[key], seen)
    elif isinstance(value, functools.partial):
        yield "partial"
        yield from _parts((value.func, value.args, value.keywords), seen)
    elif isinstance(value, types.MethodType):
        yield "method"
        yield from _parts((value.__self__, value.__func__), seen)
    elif isinstance(value, types.FunctionType):
        yield from _function(value, seen)
    elif isinstance(value, type):
        yield from _class(value, seen)
    elif isinstance(value, types.CodeType):
        yield from _code(value, seen)
    elif dataclasses.is_dataclass(value):
        yield from _parts(type(value), seen)
        yield from _parts([getattr(value, f.name) for f in dataclasses.fields(value)], seen)
    elif isinstance(value, types.ModuleType):
        yield _module(value)
    else:
        yield _library(value)


def _function(value: types.FunctionType, seen: set[int]) -> Iterator[str]:
    if _package(value) in STABLE_PACKAGES:
        yield _library(value)
        return
    yield from _code(value.__code__, seen)
    yield from _parts((value.__defaults__, value.__kwdefaults__), seen)
    for cell in value.__closure__ or ():
        yield from _parts(cell.cell_contents, seen)
    for name in sorted(_names(value.__code__)):
        if name in value.__globals__:
            yield name
            yield from _parts(value.__globals__[name], seen)


def _class(value: type, seen: set[int]) -> Iterator[str]:
    if _package(value) in STABLE_PACKAGES or issubclass(value, tuple):
        yield f"{value.__module__}.{value.__qualname__}:{getattr(value, '_fields', '')}"
        return
    yield f"class:{value.__qualname__}"
    for name, member in sorted(vars(value).items()):
        member = member.__func__ if isinstance(member, staticmethod | classmethod) else member
        if isinstance(member, property):
            member = member.fget
        if isinstance(member, Callable) or not name.startswith("__"):
            if isinstance(member, types.FunctionType | type | int | float | str):
                yield name
                yield from _parts(member, seen)
    for base in value.__bases__:
        if base is not object:
            yield from _parts(base, seen)


def _code(code: types.CodeType, seen: set[int]) -> Iterator[str]:
    yield code.co_code.hex()
    yield repr(code.co_names) + repr(code.co_varnames)
    for constant in code.co_consts:
        yield from _parts(constant, seen)


def _names(code: types.CodeType) -> set[str]:
    nested = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*(_names(c) for c in nested))


def _module(value: types.ModuleType) -> str:
    package = value.__name__.split(".")[0]
    if package in STABLE_PACKAGES:
        return f"{value.__name__}=={STABLE_PACKAGES[package]}"
    if package in sys.stdlib_module_names:
        return f"{value.__name__}=={sys.version}"
    try:
        return hashlib.sha256(inspect.getsource(value).encode()).hexdigest()
    except (OSError, TypeError) as cause:
        raise Unknown(f"module {value.__name__}") from cause


def _library(value: Any) -> str:
    package = _package(value)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if name is None or (package not in STABLE_PACKAGES and package not in sys.stdlib_module_names):
        raise Unknown(f"{type(value).__name__} object")
    return f"{package}.{name}=={STABLE_PACKAGES.get(package, sys.version)}"


def _package(value: Any) -> str:
    module = getattr(value, "__module__", None) or type(value).__module__
    return str(module).split(".")[0]
