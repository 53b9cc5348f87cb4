"""A body is read as the safetensors library reads it, and every damage is refused by name."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from spikewright.targets.core.device.fault import Fault
from spikewright.targets.core.device.message import DTYPES, Message, pack, unpack

ARRAYS = {
    "weights": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "time": np.array([0.1, -0.0, 1e300]),
    "on": np.array([True, False]),
    "none": np.empty((0, 4), np.int32),
}


def body(header: dict[str, Any] | bytes, data: bytes = b"", length: int | None = None) -> bytearray:
    """A file with whatever header."""
    if isinstance(header, dict):
        header = json.dumps({"__metadata__": {"spikewright": "{}"}} | header).encode()
    count = len(header) if length is None else length
    return bytearray(count.to_bytes(8, "little") + header + data)


def entry(dtype: Any = "U8", shape: Any = (2,), offsets: Any = (0, 2)) -> dict[str, Any]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def test_what_is_packed_is_read_bit_for_bit_by_us_and_by_the_library() -> None:
    packed = pack(Message(ARRAYS, {"seed": 7, "exact": 0.1}))
    message, library = unpack(bytearray(packed)), safetensors.numpy.load(packed)
    assert message.values == {"seed": 7, "exact": 0.1}
    assert message.arrays.keys() == library.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        for read in (message.arrays[name], library[name]):
            assert (read.dtype, read.shape) == (array.dtype, array.shape)
            assert read.tobytes() == array.tobytes()


@pytest.mark.parametrize("name", DTYPES)
def test_every_type_has_the_name_that_the_library_gives_it(name: str) -> None:
    array = np.ones(3, DTYPES[name])
    file = bytearray(safetensors.numpy.save({"a": array}, {"spikewright": "{}"}))
    assert unpack(file).arrays["a"].dtype == array.dtype
    assert json.loads(file[8:].partition(b"}}")[0] + b"}}")["a"]["dtype"] == name


def test_arrays_are_views_into_the_body_that_can_be_written_to() -> None:
    received = bytearray(pack(Message({"a": np.zeros(4, np.uint8)}, {})))
    array = unpack(received).arrays["a"]
    array[:] = 9
    assert received[-4:] == b"\x09\x09\x09\x09"


def test_an_array_that_lies_unaligned_is_read_all_the_same() -> None:
    header = entry("U8", [1], [0, 1]) | {
        "b": {"dtype": "F64", "shape": [1], "data_offsets": [1, 9]}
    }
    array = unpack(body(header, b"\x01" + np.float64(2.5).tobytes())).arrays["b"]
    assert array.flags.aligned
    assert array.tolist() == [2.5]


def test_arrays_that_are_not_contiguous_are_packed_by_their_values() -> None:
    array = np.arange(12).reshape(3, 4).T
    read = unpack(bytearray(pack(Message({"a": array}, {})))).arrays["a"]
    assert read.tolist() == array.tolist()


DAMAGED = {
    "nothing at all": (bytearray(), "the body must be at least 8 bytes long, got 0 bytes"),
    "a length and no header": (body(b"", length=5), "length of the header must be at most 0"),
    "a header that lies about its length": (body({}, length=1 << 40), "must be at most"),
    "a header of 2^63 bytes": (body({}, length=1 << 63), "must be at most"),
    "no JSON": (body(b"{]"), "the header must be JSON"),
    "a header that is cut": (body(b'{"a": {"dty'), "the header must be JSON"),
    "a header that is no text": (body(b'{"\xff": 1}'), "the header must be JSON"),
    "deep nesting": (body(b"[" * 100_000), "the header must be JSON"),
    "a list": (body(b"[1]"), "the header must be a JSON object, got list"),
    "a name twice": (body(b'{"a": 1, "a": 2}'), "without a key twice"),
    "no metadata": (body(b"{}"), "entry 'spikewright' of the metadata must be a text of JSON"),
    "metadata without our entry": (body(b'{"__metadata__": {}}'), "got NoneType"),
    "values that are NaN": (
        body(b'{"__metadata__": {"spikewright": "{\\"seed\\": NaN}"}}'),
        "must be JSON without NaN",
    ),
    "values that are a list": (
        body(b'{"__metadata__": {"spikewright": "[]"}}'),
        "must be a JSON object, got list",
    ),
    "half a surrogate": (body(b'{"__metadata__": {"spikewright": "\\ud800"}}'), "must be JSON"),
    "an unknown type": (body(entry("F16"), b"12"), "dtype, must be one of BOOL"),
    "a type that is a list": (body(entry(["U8"]), b"12"), "dtype, must be one of BOOL"),
    "a field too many": (body({"a": entry()["a"] | {"b": 1}}), "dtype, shape and data_offsets"),
    "an entry that is a number": (body({"a": 3}), "dtype, shape and data_offsets"),
    "a negative size": (body(entry(shape=[-2]), b"12"), "whole numbers from 0"),
    "a size that is a truth": (body(entry(shape=[True]), b"1"), "whole numbers from 0"),
    "nine dimensions": (body(entry(shape=[1] * 9), b"1"), "at most 8"),
    "a huge size": (body(entry(shape=[1 << 60, 16]), b"12"), "whole numbers from 0"),
    "sizes that overflow": (body(entry(shape=[1 << 40, 1 << 40]), b"12"), "bytes long by dtype"),
    "positions in descending order": (body(entry(offsets=[2, 0]), b"12"), "ascending order"),
    "positions beyond the data": (body(entry(offsets=[0, 3]), b"12"), "within 2 bytes"),
    "three positions": (body(entry(offsets=[0, 1, 2]), b"12"), "two positions"),
    "a shape that lies": (body(entry(shape=[3]), b"12"), "must be 3 bytes long by dtype and shape"),
    "data that are cut": (body(entry(), b"1"), "within 1 bytes"),
    "data after the last array": (body(entry(), b"123"), "must be 2 bytes long, as the header"),
    "a gap": (body(entry(offsets=[1, 3]), b"123"), "stored from byte 0 on, got 1"),
    "an overlap": (
        body({**entry(), "b": entry("U8", [2], [1, 3])["a"]}, b"123"),
        "stored from byte 2 on, got 1",
    ),
    "a truth of 2": (body(entry("BOOL"), b"\x01\x02"), "must be 0 or 1 (BOOL)"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_body_is_refused_and_its_fault_is_named(name: str) -> None:
    damaged, said = DAMAGED[name]
    with pytest.raises(Fault) as caught:
        unpack(damaged)
    assert (caught.value.name, caught.value.status) == ("bad_body", 400)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_body_cut_anywhere_is_refused() -> None:
    whole = pack(Message(ARRAYS, {"seed": 7}))
    for length in range(len(whole)):
        with pytest.raises(Fault):
            unpack(bytearray(whole[:length]))


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(Fault):
        unpack(bytearray(data))


def test_changed_bytes_are_read_as_other_values_or_refused_by_name() -> None:
    whole, draw, refused = pack(Message(ARRAYS, {"seed": 7})), random.Random(3), 0
    for _ in range(2000):
        changed = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        try:
            message = unpack(changed)
        except Fault:
            refused += 1
        else:
            assert all(array.size < 100 for array in message.arrays.values())
    assert 500 < refused < 2000
