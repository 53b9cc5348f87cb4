"""States and results as flat lists of tensors and an outline of numbers and words.

The compiler takes a function whose inside it does not read, if its arguments and results are
plain; states are made of named tuples.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from spikewright.errors import ShapeError

Outline = Any
"""``LEAF``, ``NONE``, (``WORDS``, word, outline, ...), (``PLAIN``, ...) or (a class, ...)."""
LEAF, NONE, WORDS, PLAIN = "leaf", "none", "words", "plain"


class _Classes:
    """Classes of named tuples as attributes, where the compiler finds them."""


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _attribute(name: str) -> str:
    return name.replace(".", "-")


def take_apart(value: Any, leaves: list[Tensor]) -> Outline:
    """The outline of a value of tensors, ``None``, dicts and tuples; adds tensors to ``leaves``.

    >>> import torch
    >>> leaves = []
    >>> outline = take_apart({"a": (torch.ones(1), None)}, leaves)
    >>> put_together(outline, iter(leaves))
    {'a': (tensor([1.]), None)}
    """
    if value is None:
        return NONE
    if isinstance(value, Tensor):
        leaves.append(value)
        return LEAF
    if isinstance(value, dict):
        named: Any = value
        parts: list[Any] = [WORDS]
        for name in named:
            parts += [name, take_apart(named[name], leaves)]
        return tuple(parts)
    if not isinstance(value, tuple):
        raise ShapeError(
            "network: state must be made of tensors, tuples and dicts, got "
            f"{type(value).__name__}. Pass what the network returned, or None."
        )
    items: Any = value
    kind = _name(type(items)) if hasattr(items, "_fields") else PLAIN
    return (kind, *[take_apart(item, leaves) for item in items])


def put_together(outline: Outline, leaves: Iterator[Tensor]) -> Any:
    """The value that `take_apart` took apart."""
    if outline == NONE:
        return None
    if outline == LEAF:
        return next(leaves)
    first, *parts = outline
    if first == WORDS:
        pairs = zip(parts[::2], parts[1::2], strict=True)
        return {name: put_together(part, leaves) for name, part in pairs}
    items = [put_together(part, leaves) for part in parts]
    return tuple(items) if first == PLAIN else getattr(_Classes, _attribute(first))(*items)


def remember(value: Any) -> None:
    """Let `put_together` find the classes of the named tuples in ``value``."""
    if isinstance(value, tuple):
        items: Any = value
        if hasattr(items, "_fields"):
            setattr(_Classes, _attribute(_name(type(items))), type(items))
        for item in items:
            remember(item)
    elif isinstance(value, dict):
        remember(tuple(value.values()))


def look_up(outline: Outline) -> None:
    """Let `put_together` find the classes that ``outline`` names.

    Raises:
        ShapeError: there is no class of that name.
    """
    if not isinstance(outline, tuple):
        return
    first, *parts = outline
    if first not in (WORDS, PLAIN) and not hasattr(_Classes, _attribute(first)):
        module, _, path = first.partition(":")
        try:
            kind = functools.reduce(getattr, path.split("."), sys.modules[module])
        except (KeyError, AttributeError) as cause:
            raise ShapeError(
                f"network: state must be of classes that a module defines, got {first}. "
                "Start with state=None, or define the class outside of functions."
            ) from cause
        setattr(_Classes, _attribute(first), kind)
    for part in parts:
        look_up(part)
