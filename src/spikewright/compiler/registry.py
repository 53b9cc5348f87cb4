"""Targets by name. `spikewright.targets` registers those of this package; others may follow."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from spikewright.errors import CompileError, nearest

if TYPE_CHECKING:  # what it needs is heavy, and registering has to cost nothing
    from spikewright.compiler.target import TargetFacts

Import = Callable[[], "type[TargetFacts]"]

_targets: dict[str, Import] = {}


def register(name: str) -> Callable[[Import], Import]:
    """Make a target known by a name; decorates a function that imports and returns its class.

    >>> @register("toy")
    ... def toy():
    ...     raise NotImplementedError
    >>> "toy" in target_names()
    True
    >>> del _targets["toy"]
    """

    def add(function: Import) -> Import:
        _targets[name] = function
        return function

    return add


def target_names() -> list[str]:
    """All names, sorted; nothing is imported for it."""
    return sorted(_targets)


def target_summary(name: str) -> str:
    """What a target is, in a line; nothing is imported for it."""
    return (inspect.getdoc(_targets[name]) or "").partition("\n")[0]


def get_target(name: str, **options: Any) -> TargetFacts:
    """The target of that name.

    Args:
        name: one of `target_names`.
        options: of the target's class, such as ``weights=4`` of the simulator.

    Raises:
        CompileError: there is no such target, or it has no such option; the nearest is named.

    >>> get_target("simulator", weights=4).title
    'simulator, weights of 4 bits'
    """
    if name not in _targets:
        raise CompileError(
            f"targets: name must be that of a known target, got {name!r}. {nearest(name, _targets)}"
        )
    make = _targets[name]()
    known = inspect.signature(make).parameters
    for option in options:
        if option not in known:
            raise CompileError(
                f"targets: option of {name!r} must be a known one, got {option!r}. "
                f"{nearest(option, known)}"
            )
    return make(**options)
