"""Modules by number, so that a graph may name one."""

from __future__ import annotations

import itertools
from weakref import WeakValueDictionary

from torch import nn

_modules: WeakValueDictionary[int, nn.Module] = WeakValueDictionary()
_numbers = itertools.count()


def enrol(module: nn.Module) -> int:
    """A number for the module, by which `enrolled` finds it for as long as it lives."""
    number = next(_numbers)
    _modules[number] = module
    return number


def enrolled(number: int) -> nn.Module:
    """The module of that number."""
    return _modules[number]
