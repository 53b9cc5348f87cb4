"""What products make of a weight, made once while no weight changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

Made = TypeVar("Made")
Derived = WeakTensorKeyDictionary
"""By weight what was made of it, by the function that made it."""
_known: ContextVar[Derived | None] = ContextVar("derived from weights", default=None)


@contextmanager
def weights_unchanged(known: Derived | None = None) -> Iterator[None]:
    """Say that no weight is written to inside, so that what is made of one serves again.

    Args:
        known: what was made under the same promise before; added to.
    """
    token = _known.set(Derived() if known is None else known)
    try:
        yield
    finally:
        _known.reset(token)


def derived(weight: Tensor, make: Callable[[Tensor], Made]) -> Made:
    """``make(weight)``, which is worked out once inside `weights_unchanged`.

    >>> import torch
    >>> weight = torch.ones(2)
    >>> with weights_unchanged():
    ...     first = derived(weight, torch.neg)
    ...     derived(weight, torch.neg) is first
    True
    """
    known = _known.get()
    if known is None:
        return make(weight)
    found: dict[Any, Any] | None = known.get(weight)
    if found is None:
        found = known[weight] = {}
    if make not in found:
        found[make] = make(weight)
    return found[make]
