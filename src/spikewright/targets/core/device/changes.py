"""Configurations by content: what is new about one, and one made from another and its changes.

An array that differs in few places is sent as their positions (``name@at``, uint32, into the
flattened array, ascending) and new values (``name@to``); one that differs in many, as a whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.targets.core.device.fault import Fault
from spikewright.targets.core.device.message import Message

AT, TO = "@at", "@to"
POSITION = np.dtype("<u4")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A message that nobody else writes to, and its digests.

    Args:
        message: arrays and values.
        digests: SHA-256 of each array, in hexadecimal.
        digest: of all, by which it is known on the wire.
    """

    message: Message
    digests: Mapping[str, str]
    digest: str


def snapshot(message: Message, before: Snapshot | None = None, *, copy: bool = False) -> Snapshot:
    """Digest a message; arrays equal to those of ``before`` are shared with it, not read again.

    Args:
        message: what to digest.
        before: an earlier one.
        copy: take copies of the arrays that are new, because their owner may write to them.
    """
    arrays: dict[str, NDArray[Any]] = {}
    digests: dict[str, str] = {}
    for name, array in message.arrays.items():
        known = None if before is None else before.message.arrays.get(name)
        if before is not None and known is not None and _same(known, array):
            arrays[name], digests[name] = known, before.digests[name]
        else:
            own = np.array(array, order="C") if copy else np.require(array, requirements="C")
            arrays[name], digests[name] = own, _digest(own)
    values = dict(message.values)
    text = json.dumps({"arrays": digests, "values": values}, **CANONICAL)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Snapshot(Message(arrays, values), digests, digest)


CANONICAL: dict[str, Any] = {
    "sort_keys": True,
    "separators": (",", ":"),
    "allow_nan": False,
    "ensure_ascii": True,
}


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Bit for bit: 0 and -0 differ, NaN equals itself."""
    if a is b:
        return True
    alike = a.dtype == b.dtype and a.shape == b.shape
    return alike and np.array_equal(_bytes(a), _bytes(np.require(b, requirements="C")))


def _digest(array: NDArray[Any]) -> str:
    """SHA-256 of ``dtype shape newline bytes``, dtype as NumPy writes it, little-endian."""
    head = f"{array.dtype.str} {list(array.shape)}\n"
    return hashlib.sha256(head.encode() + _bytes(array).tobytes()).hexdigest()


def difference(before: Snapshot, after: Snapshot) -> Message | None:
    """The body that makes ``after`` of ``before``; ``None`` if they differ in names."""
    old, new = before.message.arrays, after.message.arrays
    if old.keys() != new.keys():
        return None
    arrays: dict[str, NDArray[Any]] = {}
    for name, array in new.items():
        if before.digests[name] != after.digests[name]:
            arrays |= _changed(name, old[name], array)
    return Message(arrays, {"based_on": before.digest, "values": dict(after.message.values)})


def _changed(name: str, old: NDArray[Any], new: NDArray[Any]) -> dict[str, NDArray[Any]]:
    if old.dtype == new.dtype and old.shape == new.shape and new.size < 1 << 32:
        unequal = (_bytes(old) != _bytes(new)).reshape(new.size, new.itemsize).any(axis=1)
        at = np.flatnonzero(unequal).astype(POSITION)
        if at.size * (POSITION.itemsize + new.itemsize) < new.nbytes:
            return {name + AT: at, name + TO: new.reshape(-1)[at]}
    return {name: new}


def whole(after: Snapshot) -> Message:
    """The body that says all of ``after``."""
    return Message(after.message.arrays, {"values": dict(after.message.values)})


def apply(before: Message, changes: Message) -> Message:
    """The message that ``changes`` make of ``before``; arrays without a change are shared.

    Raises:
        Fault: ``bad_arrays``: positions without values, or outside the array.
    """
    arrays = dict(before.arrays)
    for name, array in changes.arrays.items():
        if name.endswith(AT):
            target, to = name.removesuffix(AT), changes.arrays.get(name.removesuffix(AT) + TO)
            arrays[target] = _written(target, before.arrays.get(target), array, to)
        elif not name.endswith(TO):
            arrays[name] = array
        elif name.removesuffix(TO) + AT not in changes.arrays:
            raise _bad(name, f"sent with positions ({AT})", "values alone")
    return Message(arrays, changes.values["values"])


def _written(
    name: str, old: NDArray[Any] | None, at: NDArray[Any], to: NDArray[Any] | None
) -> NDArray[Any]:
    if old is None:
        raise _bad(name, "an array of the configuration it is based on", "another name")
    if to is None or at.dtype != POSITION or at.ndim != 1 or to.dtype != old.dtype:
        raise _bad(name, f"sent as uint32 positions ({AT}) and {old.dtype} ({TO})", "other arrays")
    if to.shape != at.shape or (at.size and at.max() >= old.size):
        rule = f"changed at positions below {old.size}, a value for each"
        raise _bad(name, rule, f"{at.size} positions and {to.size} values")
    new = old.copy(order="C")
    new.reshape(-1)[at] = to
    return new


def _bad(name: str, rule: str, got: str) -> Fault:
    return Fault(
        "bad_arrays", f"device: array {name[:80]!r} must be {rule}, got {got}. Send it whole."
    )
