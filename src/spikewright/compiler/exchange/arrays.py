"""Numbers of a node, checked before anything is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spikewright.errors import ExchangeError

Values = NDArray[np.float64]


def numbers(where: str, name: str, value: Any) -> Values:
    """A field of a node as float64.

    Raises:
        ExchangeError: it holds no numbers, or one that is not finite.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    try:
        given = np.asarray(value)
    except (TypeError, ValueError) as cause:
        raise _wrong(where, name, "an array of numbers", type(value).__name__) from cause
    if given.dtype.kind not in "fiub":
        raise _wrong(where, name, "an array of numbers", f"dtype {given.dtype}")
    array: Values = np.asarray(given, dtype=np.float64)
    bad = ~np.isfinite(array)
    if bad.any():
        first = array[bad].flat[0]
        raise _wrong(where, name, "finite", f"{first} at {int(bad.sum())} of {array.size} places")
    return array


def axes(where: str, name: str, value: Any, rank: int) -> Values:
    """`numbers` with that many axes, none of them empty."""
    array = numbers(where, name, value)
    if array.ndim != rank or not array.size:
        raise _wrong(where, name, f"an array with {rank} axes", f"shape {array.shape}")
    return array


def for_features(where: str, name: str, value: Any, shape: tuple[int, ...]) -> Values:
    """One number for all features, shape (), or one for each, shape ``shape``.

    Raises:
        ExchangeError: neither; what the node's own shape is and what reaches it is named.
    """
    array = numbers(where, name, value)
    if array.size == 1 or (array.size and (array == array.flat[0]).all() and _fits(array, shape)):
        return array.reshape(-1)[0].reshape(())
    if not _fits(array, shape):
        raise _wrong(where, name, f"one number, or one for each input {shape}", f"{array.shape}")
    return array.reshape(shape)


def _fits(array: Values, shape: tuple[int, ...]) -> bool:
    """Whether the shapes are equal, axes of length one in front set aside."""
    own = array.shape
    while len(own) > len(shape) and own[0] == 1:
        own = own[1:]
    return own == shape


def whole(where: str, name: str, value: Any) -> tuple[int, ...]:
    """A field of whole numbers, one or several."""
    array = numbers(where, name, value).reshape(-1)
    if not array.size or (array != np.round(array)).any():
        raise _wrong(where, name, "whole numbers", str(array.tolist()))
    return tuple(int(number) for number in array)


def one(where: str, name: str, value: Any) -> int:
    """A field that is one whole number."""
    found = whole(where, name, value)
    if len(found) != 1:
        raise _wrong(where, name, "one whole number", str(found))
    return found[0]


def _wrong(where: str, name: str, rule: str, got: str) -> ExchangeError:
    return ExchangeError(
        f"{where}: {name} must be {rule}, got {got}. Correct the graph and read it again."
    )
