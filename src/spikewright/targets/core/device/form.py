"""Which arrays and values a dataclass of a target is sent as, each with its type and range."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewright.targets.core.device.fault import Fault
from spikewright.targets.core.device.message import Message

T = TypeVar("T")
Sizes = dict[str, int]


@dataclass(frozen=True)
class Array:
    """An array of a message.

    Args:
        dtype: NumPy's name of it.
        shape: a size, or a name for a size that is free but equal wherever the name occurs;
            ``None`` for any shape.
        low, high: range of its values; floating-point values must be finite in any case.
    """

    dtype: str
    shape: tuple[int | str, ...] | None
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class Value:
    """A number, or ``count`` of them as a tuple, within a range."""

    kind: type[int] | type[float]
    low: float = -math.inf
    high: float = math.inf
    count: int | None = None


@dataclass(frozen=True)
class Form(Generic[T]):
    """How a dataclass becomes a message, and back.

    Args:
        make: the dataclass.
        arrays: its fields that are arrays.
        groups: its fields that are arrays by name, which are sent as ``field.name``.
        values: its fields that are plain numbers.
        fault: says in words what is wrong between the parts of one, or ``None``.
    """

    make: Callable[..., T]
    arrays: Mapping[str, Array]
    groups: Mapping[str, Array] = field(default_factory=dict[str, Array])
    values: Mapping[str, Value] = field(default_factory=dict[str, Value])
    fault: Callable[[T], str | None] = lambda _: None

    def write(self, thing: T) -> Message:
        """The message for ``thing``; only types and shapes are looked at.

        Raises:
            Fault: ``bad_arrays``: a type or shape that the form does not have.
        """
        found = {name: getattr(thing, name) for name in self.arrays}
        for group in self.groups:
            members = getattr(thing, group)
            found |= {f"{group}.{name}": members[name] for name in sorted(members)}
        sizes: Sizes = {}
        for name, array in found.items():
            _require_type(name, np.asarray(array), self._array(name), sizes)
        return Message(found, {name: getattr(thing, name) for name in self.values})

    def read(self, message: Message) -> T:
        """What the message says, every part of it checked.

        Raises:
            Fault: ``bad_arrays`` or ``bad_values``.
        """
        parts: dict[str, Any] = {group: {} for group in self.groups}
        sizes: Sizes = {}
        for name, array in message.arrays.items():
            spec = self._array(name)
            _require_type(name, array, spec, sizes)
            _require_range(name, array, spec)
            group, _, member = name.partition(".")
            if member:
                parts[group][member] = array
            else:
                parts[name] = array
        _require_names("arrays", self.arrays.keys() - parts.keys(), "bad_arrays")
        parts |= self._numbers(message.values)
        thing = self.make(**parts)
        if wrong := self.fault(thing):
            raise Fault("bad_arrays", f"device: {wrong}")
        return thing

    def _array(self, name: str) -> Array:
        group, _, member = name.partition(".")
        spec = self.groups.get(group) if member else self.arrays.get(name)
        if spec is None:
            known = [*self.arrays, *(f"{group}.NAME" for group in self.groups)]
            raise _bad_array(name, f"one of {', '.join(known)}", "an unknown name")
        return spec

    def _numbers(self, values: Mapping[str, Any]) -> dict[str, Any]:
        _require_names("values", self.values.keys() ^ values.keys(), "bad_values")
        return {name: _number(name, values[name], spec) for name, spec in self.values.items()}


def _bad_array(name: str, rule: str, got: str) -> Fault:
    return Fault(
        "bad_arrays", f"device: array {name[:80]!r} must be {rule}, got {got}. Send it so."
    )


def _require_names(what: str, wrong: set[str], fault: str) -> None:
    if wrong:
        names = ", ".join(sorted(wrong))[:200]
        text = f"device: {what} must be those of the target, got a difference in {names}."
        raise Fault(fault, f"{text} Send each of them, and no other.")


def _require_type(name: str, array: NDArray[Any], spec: Array, sizes: Sizes) -> None:
    if array.dtype != np.dtype(spec.dtype):
        raise _bad_array(name, spec.dtype, str(array.dtype))
    if spec.shape is None:
        return
    wanted = tuple(sizes.get(n, n) if isinstance(n, str) else n for n in spec.shape)
    pairs = zip(wanted, array.shape, strict=False)
    if len(wanted) != array.ndim or any(isinstance(w, int) and w != h for w, h in pairs):
        raise _bad_array(name, f"of shape ({', '.join(map(str, wanted))})", f"{array.shape}")
    sizes |= {
        n: have for n, have in zip(spec.shape, array.shape, strict=True) if isinstance(n, str)
    }


def _require_range(name: str, array: NDArray[Any], spec: Array) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _bad_array(name, "finite", "NaN or an infinity")
    bounded = spec.low > -math.inf or spec.high < math.inf
    if array.size and bounded and not (array.min() >= spec.low and array.max() <= spec.high):
        rule = f"within {spec.low:g} to {spec.high:g}"
        raise _bad_array(name, rule, f"{array.min()} to {array.max()}")


def _number(name: str, value: Any, spec: Value) -> Any:
    if spec.count is None:
        return _one_number(name, value, spec)
    if not isinstance(value, list) or len(value) != spec.count:
        raise _bad_value(name, f"a list of {spec.count} numbers", value)
    return tuple(_one_number(name, one, spec) for one in value)


def _one_number(name: str, value: Any, spec: Value) -> Any:
    kinds = (int,) if spec.kind is int else (int, float)
    # An integer of hundreds of digits passes the first test and has no float.
    if type(value) not in kinds or not spec.low <= value <= spec.high or abs(value) > 1 << 64:
        word = "a whole number" if spec.kind is int else "a number"
        raise _bad_value(name, f"{word} within {spec.low:g} to {spec.high:g}", value)
    return spec.kind(value)


def _bad_value(name: str, rule: str, value: Any) -> Fault:
    text = f"device: value {name!r} must be {rule}, got {repr(value)[:80]}. Send it so."
    return Fault("bad_values", text)
