"""Trees of tensors: what a step takes and returns.

Nearly all are one tensor or one tuple of tensors, with names or without. Those are taken apart
and put together here in a microsecond, where `torch.utils._pytree` takes ten; all others go there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

_LEAF = pytree.tree_structure(0)
_flat: dict[tuple[type, int], pytree.TreeSpec] = {}


def flatten(tree: Any) -> tuple[list[Tensor], pytree.TreeSpec]:
    """The leaves of a tree, and its structure.

    >>> leaves, structure = flatten((1, 2))
    >>> leaves, unflatten(leaves, structure)
    ([1, 2], (1, 2))
    """
    if isinstance(tree, Tensor):
        return [tree], _LEAF
    if not _is_flat(tree):
        return pytree.tree_flatten(tree)
    key = type(tree), len(tree)
    if key not in _flat:
        _flat[key] = pytree.tree_structure(tree)
    return list(tree), _flat[key]


def leaves(tree: Any) -> list[Tensor]:
    """The leaves of a tree."""
    if isinstance(tree, Tensor):
        return [tree]
    return list(tree) if _is_flat(tree) else pytree.tree_leaves(tree)


def unflatten(leaves: Iterable[Any], structure: pytree.TreeSpec) -> Any:
    """The tree of that structure with those leaves."""
    if structure is _LEAF:
        return next(iter(leaves))
    for (kind, _), known in _flat.items():
        if structure is known:
            return _make(kind, leaves)
    return pytree.tree_unflatten(leaves, structure)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same tree with ``function`` applied to each leaf."""
    if isinstance(tree, Tensor):
        return function(tree)
    if _is_flat(tree):
        return _make(type(tree), map(function, tree))
    return pytree.tree_map(function, tree)


def _is_flat(tree: Any) -> bool:
    """Whether a tree is a tuple of tensors."""
    kind = type(tree)
    named = isinstance(tree, tuple) and hasattr(kind, "_make")
    return (kind is tuple or named) and all(isinstance(leaf, Tensor) for leaf in tree)


def _make(kind: Any, leaves: Iterable[Any]) -> Any:
    return tuple(leaves) if kind is tuple else kind._make(leaves)
