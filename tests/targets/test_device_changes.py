"""A configuration is known by its content, and made from another one by what changed."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewright.targets.core.device.changes import apply, difference, snapshot, whole
from spikewright.targets.core.device.fault import Fault
from spikewright.targets.core.device.message import Message, pack, unpack


def message(**arrays: np.ndarray) -> Message:
    return Message(arrays, {"fast": 3})


def sent(body: Message) -> Message:
    """The message after a journey."""
    return unpack(bytearray(pack(body)))


def test_the_digest_is_the_one_of_the_documentation() -> None:
    weights = np.arange(6, dtype=np.uint8).reshape(2, 3)
    time = np.array([0.5])
    each = {
        "time": hashlib.sha256(b"<f8 [1]\n" + time.tobytes()).hexdigest(),
        "weights": hashlib.sha256(b"|u1 [2, 3]\n" + bytes(range(6))).hexdigest(),
    }
    text = json.dumps({"arrays": each, "values": {"fast": 3}}, separators=(",", ":"))
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert snapshot(message(weights=weights, time=time)).digest == expected


def test_type_shape_name_and_value_all_count() -> None:
    base = np.arange(4, dtype=np.int16)
    digests = {
        snapshot(one).digest
        for one in (
            message(a=base),
            message(b=base),
            message(a=base.reshape(2, 2)),
            message(a=base.view(np.uint16)),
            message(a=base + np.int16(1)),
            Message({"a": base}, {"fast": 4}),
            message(a=np.array([0.0])),
            message(a=np.array([-0.0])),
        )
    }
    assert len(digests) == 8


def test_an_array_that_its_owner_writes_to_later_does_not_change_the_snapshot() -> None:
    weights = np.zeros(8, np.uint8)
    first = snapshot(message(w=weights), copy=True)
    weights[3] = 1
    second = snapshot(message(w=weights), first, copy=True)
    assert first.message.arrays["w"].tolist() == [0] * 8
    assert second.digest == snapshot(message(w=weights)).digest != first.digest


def test_unchanged_arrays_are_shared_and_nan_equals_itself() -> None:
    first = snapshot(message(a=np.array([np.nan, 1.0]), b=np.arange(3)), copy=True)
    second = snapshot(message(a=np.array([np.nan, 1.0]), b=np.arange(1, 4)), first, copy=True)
    assert second.message.arrays["a"] is first.message.arrays["a"]
    changes = difference(first, second)
    assert changes is not None
    assert list(changes.arrays) == ["b"]


def test_few_changes_go_by_position_and_many_as_a_whole() -> None:
    old = np.zeros(1000, np.uint8)
    few, many = old.copy(), old.copy()
    few[[3, 999]], many[:300] = 7, 7
    before = snapshot(message(w=old))
    by_position = difference(before, snapshot(message(w=few)))
    at_once = difference(before, snapshot(message(w=many)))
    assert by_position is not None
    assert at_once is not None
    assert by_position.arrays["w@at"].tolist() == [3, 999]
    assert by_position.arrays["w@to"].tolist() == [7, 7]
    assert list(at_once.arrays) == ["w"]


def test_other_names_go_as_a_whole() -> None:
    before, after = snapshot(message(a=np.ones(2))), snapshot(message(b=np.ones(2)))
    assert difference(before, after) is None
    assert whole(after).arrays.keys() == {"b"}


@given(
    st.lists(st.integers(0, 40), max_size=12),
    st.sampled_from(["uint8", "int16", "float64", "bool"]),
    st.integers(0, 9),
)
def test_what_changed_applied_to_what_was_is_what_is(
    places: list[int], dtype: str, fast: int
) -> None:
    old = (np.arange(41) % 3).astype(dtype).reshape(41, 1)
    new = old.copy()
    new[places] = np.asarray(new[places] == 0).astype(dtype)
    before, after = snapshot(message(w=old)), snapshot(Message({"w": new}, {"fast": fast}))
    changes = difference(before, after)
    assert changes is not None
    made = snapshot(apply(before.message, sent(changes)), before)
    assert made.digest == after.digest
    assert np.array_equal(made.message.arrays["w"], new)
    assert np.array_equal(before.message.arrays["w"], old)


POSITIONS = np.array([1], np.uint32)
WRONG = {
    "values alone": ({"w@to": np.ones(1, np.uint8)}, "sent with positions (@at)"),
    "positions alone": ({"w@at": POSITIONS}, "sent as uint32 positions"),
    "signed positions": (
        {"w@at": POSITIONS.astype(np.int64), "w@to": np.ones(1, np.uint8)},
        "sent as uint32 positions",
    ),
    "another type": ({"w@at": POSITIONS, "w@to": np.ones(1)}, "and uint8 (@to), got other"),
    "another number": (
        {"w@at": POSITIONS, "w@to": np.ones(2, np.uint8)},
        "got 1 positions and 2 values",
    ),
    "a position outside": (
        {"w@at": np.array([4], np.uint32), "w@to": np.ones(1, np.uint8)},
        "positions below 4",
    ),
    "an unknown array": (
        {"x@at": POSITIONS, "x@to": np.ones(1, np.uint8)},
        "'x' must be an array of the configuration it is based on",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_changes_are_refused_and_named(name: str) -> None:
    arrays, said = WRONG[name]
    changes = Message(arrays, {"based_on": "", "values": {}})
    with pytest.raises(Fault) as caught:
        apply(message(w=np.zeros(4, np.uint8)), changes)
    assert caught.value.name == "bad_arrays"
    assert said in str(caught.value)
