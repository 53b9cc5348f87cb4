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
import sysconfig
import types
from collections.abc import Iterator
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

_DESCRIPTORS = types.MemberDescriptorType | types.GetSetDescriptorType
_GENERATED = frozenset({
    "_fields", "_field_defaults", "_make", "_replace", "_asdict", "__new__", "__getnewargs__",
    "__replace__", "__repr__", "__init__", "__eq__", "__hash__", "__setattr__", "__delattr__",
    "__lt__", "__le__", "__gt__", "__ge__",
})  # fmt: skip
"""What NamedTuple and dataclass write into a class: it follows from the fields."""
STABLE_PACKAGES = {"torch": torch.__version__, "numpy": np.__version__, "builtins": sys.version}


_HOME = sysconfig.get_path("stdlib")


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
    elif isinstance(value, torch.dtype | torch.Size | types.EllipsisType):
        yield str(value)
    elif isinstance(value, Enum):
        yield str(value)
        yield from _parts(value.value, seen)
    elif isinstance(value, torch.Tensor):
        if value.numel() > 1024 or value.device.type != "cpu":
            raise Unknown(f"a tensor of {value.numel()} elements")
        yield f"tensor:{value.dtype}:{value.tolist()!r}"
    elif id(value) in seen:
        yield "again"
    else:
        yield from _compound(value, seen | {id(value)})


def _compound(value: Any, seen: set[int]) -> Iterator[str]:
    if isinstance(value, pytree.TreeSpec):
        yield from _tree(value, seen)
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
    else:
        yield from _container(value, seen)


def _container(value: Any, seen: set[int]) -> Iterator[str]:
    if isinstance(value, tuple | list):
        if hasattr(value, "_fields"):
            yield from _parts(type(value), seen)
        yield f"{type(value).__qualname__}:{len(value)}"
        for item in value:
            yield from _parts(item, seen)
    elif isinstance(value, frozenset):
        yield from _parts(sorted(repr(item) for item in value), seen)
    elif isinstance(value, slice):
        yield from _parts(("slice", value.start, value.stop, value.step), seen)
    elif isinstance(value, dict):
        yield f"dict:{len(value)}"
        for key in value:
            yield from _parts(key, seen)
            yield from _parts(value[key], seen)
    else:
        yield _library(value)


def _function(value: types.FunctionType, seen: set[int]) -> Iterator[str]:
    if _package(value) in STABLE_PACKAGES:
        yield _library(value)
        return
    if _of_engine(value) and not value.__closure__:
        yield f"{value.__module__}.{value.__qualname__}"
        return
    yield from _code(value.__code__, seen)
    yield from _parts((value.__defaults__, value.__kwdefaults__), seen)
    for cell in value.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError as cause:
            raise Unknown("an empty closure") from cause
        yield from _parts(content, seen)
    names = sorted(_names(value.__code__))
    yield from _used(value.__globals__, names, seen)


def _used(scope: dict[str, Any], names: list[str], seen: set[int]) -> Iterator[str]:
    """What ``names`` stand for in ``scope``; those of a module, where they name parts of it."""
    for name in names:
        if name not in scope:
            continue
        yield name
        value = scope[name]
        if not isinstance(value, types.ModuleType):
            yield from _parts(value, seen)
        elif id(value) not in seen:
            yield _module(value)
            if not _is_stable(value):
                yield from _used(vars(value), names, seen | {id(value)})


def _class(value: type, seen: set[int]) -> Iterator[str]:
    if _package(value) in STABLE_PACKAGES or _is_standard(_package(value)):
        yield f"{value.__module__}.{value.__qualname__}=={sys.version}"
        return
    if _of_engine(value):
        yield f"{value.__module__}.{value.__qualname__}"
        return
    fields: tuple[str, ...] = getattr(value, "_fields", ())
    yield f"class:{value.__qualname__}:{fields}"
    plain = not fields and not dataclasses.is_dataclass(value)
    made: set[str] = {"__repr__"} if plain else {*_GENERATED, *fields}
    for name, given in sorted(vars(value).items()):
        member = given.__func__ if isinstance(given, staticmethod | classmethod) else given
        member = member.fget if isinstance(member, property) else member
        special = name.startswith("__") and not isinstance(member, types.FunctionType)
        if not special and name not in made and not isinstance(member, _DESCRIPTORS):
            yield name
            yield from _parts(member, seen)
    for base in value.__bases__:
        if base is not object:
            yield from _parts(base, seen)


def _of_engine(value: Any) -> bool:
    """Whether ``value`` is the engine's: the cache folder is named after its whole source."""
    return str(value.__module__).startswith("spikewright.engine.")


def _tree(value: pytree.TreeSpec, seen: set[int]) -> Iterator[str]:
    """A structure of arguments, with the classes whose methods a step may call."""
    yield f"{getattr(value.type, '__qualname__', None)}:{value.num_nodes}"
    yield from _parts(value.context, seen)
    for child in value.children():
        yield from _tree(child, seen)


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
    if _is_stable(value):
        return f"{value.__name__}=={STABLE_PACKAGES.get(package, sys.version)}"
    try:
        return hashlib.sha256(inspect.getsource(value).encode()).hexdigest()
    except (OSError, TypeError) as cause:
        raise Unknown(f"module {value.__name__}") from cause


def _is_stable(value: types.ModuleType) -> bool:
    package = value.__name__.split(".")[0]
    return package in STABLE_PACKAGES or _is_standard(package)


def _is_standard(package: str) -> bool:
    """Whether a package is the standard library's, and not a user's file of the same name."""
    file = getattr(sys.modules.get(package), "__file__", None)
    return package in sys.stdlib_module_names and (file is None or file.startswith(_HOME))


def _library(value: Any) -> str:
    package = _package(value)
    owner = getattr(value, "__self__", None)
    if owner is not None and not isinstance(owner, type | types.ModuleType):
        raise Unknown(f"a method of a {type(owner).__name__} object")
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if name is None or not (package in STABLE_PACKAGES or _is_standard(package)):
        raise Unknown(f"{type(value).__name__} object")
    return f"{package}.{name}=={STABLE_PACKAGES.get(package, sys.version)}"


def _package(value: Any) -> str:
    module = getattr(value, "__module__", None)
    if module is None and not isinstance(value, types.FunctionType):
        module = type(value).__module__
    return str(module).split(".")[0]
