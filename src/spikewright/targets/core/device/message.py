"""Arrays and plain values as one body: safetensors, with JSON in its metadata.

The reader is our own for two reasons: its arrays are views into the received body, and the
library reads metadata from files only. Writing is the library's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright import optional
from spikewright.targets.core.device.fault import Fault

DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F32": "<f4", "F64": "<f8",
}  # fmt: skip
METADATA = "__metadata__"
KEY = "spikewright"
PREFIX = 8
MOST_HEADER = 1 << 20
"""Bytes of JSON in front of the arrays; ours have a few thousand."""


@dataclass(frozen=True, eq=False)
class Message:
    """Arrays by name, and plain values that JSON can hold."""

    arrays: Mapping[str, NDArray[Any]]
    values: Mapping[str, Any]


def pack(message: Message) -> bytes:
    """The message as a safetensors file.

    >>> body = bytearray(pack(Message({"w": np.arange(3)}, {"seed": 7})))
    >>> unpack(body).arrays["w"], unpack(body).values
    (array([0, 1, 2]), {'seed': 7})
    """
    save = optional.require("safetensors.numpy").save
    # The library takes an array's memory as it lies there.
    arrays = {name: np.require(array, requirements="C") for name, array in message.arrays.items()}
    return save(arrays, {KEY: json.dumps(dict(message.values), allow_nan=False)})


def unpack(body: bytearray) -> Message:
    """Read a message; its arrays are views into ``body`` (copies where it lies unaligned).

    Raises:
        Fault: ``bad_body``, with the fault in words: nothing of it is trusted.
    """
    header, start = _header(body)
    values = _values(header.pop(METADATA, None))
    room = len(body) - start
    spans = [_span(name, entry, room) for name, entry in header.items()]
    _require_gapless(spans, room)
    return Message({span.name: _view(body, start, span) for span in spans}, values)


@dataclass(frozen=True)
class _Span:
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    first: int
    last: int


def _bad(what: str, rule: str, got: str) -> Fault:
    return Fault(
        "bad_body",
        f"device: {what} must be {rule}, got {got}. Send a whole safetensors file.",
    )


def _header(body: bytearray) -> tuple[dict[str, Any], int]:
    if len(body) < PREFIX:
        raise _bad("the body", f"at least {PREFIX} bytes long", f"{len(body)} bytes")
    length = int.from_bytes(body[:PREFIX], "little")
    most = min(len(body) - PREFIX, MOST_HEADER)
    if length > most:
        raise _bad("the length of the header", f"at most {most} bytes", f"{length}")
    header = _json(bytes(body[PREFIX : PREFIX + length]), "the header")
    if not isinstance(header, dict):
        raise _bad("the header", "a JSON object", type(header).__name__)
    return header, PREFIX + length


def _json(text: bytes, what: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_twice)
    except (ValueError, RecursionError) as cause:
        raise _bad(what, "JSON without NaN and without a key twice", str(cause)[:200]) from cause


def _no_constant(word: str) -> float:
    raise ValueError(word)


def _no_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


def _values(metadata: Any) -> dict[str, Any]:
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise _bad(f"entry {KEY!r} of the metadata", "a text of JSON", type(text).__name__)
    values = _json(text.encode("utf-8", "surrogatepass"), f"entry {KEY!r} of the metadata")
    if not isinstance(values, dict):
        raise _bad(f"entry {KEY!r} of the metadata", "a JSON object", type(values).__name__)
    return values


def _span(name: str, entry: Any, room: int) -> _Span:
    what = f"the entry of array {name[:80]!r}"
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _bad(what, "dtype, shape and data_offsets", repr(entry)[:200])
    dtype = DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise _bad(f"{what}, dtype,", f"one of {', '.join(DTYPES)}", repr(entry["dtype"])[:80])
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not (_counts(shape) and len(shape) <= 8):
        raise _bad(f"{what}, shape,", "at most 8 whole numbers from 0", repr(shape)[:80])
    if not (_counts(offsets) and len(offsets) == 2 and offsets[0] <= offsets[1] <= room):
        rule = f"two positions in ascending order within {room} bytes of data"
        raise _bad(f"{what}, data_offsets,", rule, repr(offsets)[:80])
    kind = np.dtype(dtype)
    need, have = math.prod(shape) * kind.itemsize, offsets[1] - offsets[0]
    if need != have:
        raise _bad(f"{what}, its data,", f"{need} bytes long by dtype and shape", f"{have} bytes")
    return _Span(name, kind, tuple(shape), offsets[0], offsets[1])


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 48 for n in value)


def _require_gapless(spans: list[_Span], room: int) -> None:
    """Every byte of data belongs to one array: no overlap, no gap, nothing after the last."""
    end = 0
    for span in sorted(spans, key=lambda s: (s.first, s.last)):
        if span.first != end:
            raise _bad(f"array {span.name[:80]!r}", f"stored from byte {end} on", f"{span.first}")
        end = span.last
    if end != room:
        raise _bad("the data", f"{end} bytes long, as the header says", f"{room} bytes")


def _view(body: bytearray, start: int, span: _Span) -> NDArray[Any]:
    array = np.frombuffer(body, span.dtype, math.prod(span.shape), start + span.first)
    if span.dtype == np.bool_ and array.view(np.uint8).max(initial=0) > 1:
        raise _bad(f"array {span.name[:80]!r}", "0 or 1 (BOOL)", "another byte")
    return np.require(array.reshape(span.shape), requirements="A")
