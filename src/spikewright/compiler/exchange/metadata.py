"""What NIR has no field for, as one JSON text in the metadata of a node or graph."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from spikewright.errors import ExchangeError

KEY = "spikewright"
"""The name in a node's metadata; other readers leave it alone."""
VERSION = 1
T = TypeVar("T")


def pack(values: Mapping[str, Any]) -> dict[str, str]:
    """Metadata that holds ``values``; empty for none.

    >>> pack({"order": "euler"})
    {'spikewright': '{"order": "euler"}'}
    """
    return {KEY: json.dumps(dict(values))} if values else {}


@dataclass
class Carried:
    """Values read from metadata, taken one by one, each checked.

    Args:
        where: name for error messages.
        values: by name.
        others: names in the metadata that are not ours.
    """

    where: str
    values: dict[str, Any]
    others: tuple[str, ...] = ()
    taken: set[str] = field(default_factory=set[str])

    def take(self, name: str, fits: Callable[[Any], bool], rule: str, default: T) -> T:
        """The value of that name, or ``default`` where there is none.

        Raises:
            ExchangeError: it does not fit; ``rule`` says what would.
        """
        self.taken.add(name)
        if name not in self.values:
            return default
        value = self.values[name]
        if not fits(value):
            raise _wrong(f"{self.where}: metadata {name!r}", rule, repr(value))
        return value

    def number(self, name: str, default: float) -> float:
        """A number that is zero or positive."""
        return float(self.take(name, is_number, "a number of zero or more", default))

    def flag(self, name: str, default: bool) -> bool:
        """A truth value."""
        return self.take(name, lambda value: isinstance(value, bool), "true or false", default)

    def text(self, name: str, default: str | None) -> str | None:
        """A word."""
        return self.take(name, lambda value: isinstance(value, str), "a text", default)

    def rest(self) -> list[str]:
        """Names that nobody took."""
        return [*sorted(self.values.keys() - self.taken), *self.others]


def unpack(where: str, node: Any) -> Carried:
    """What a node's metadata holds.

    Raises:
        ExchangeError: the metadata is not what this package writes.
    """
    held: Any = getattr(node, "metadata", None)
    if held is None or (isinstance(held, Mapping) and not held):
        return Carried(where, {})
    if not isinstance(held, Mapping):
        raise _wrong(f"{where}: metadata", "a mapping of names to values", type(held).__name__)
    others = tuple(f"metadata {name!r}" for name in map(str, held) if name != KEY)
    if KEY not in held:
        return Carried(where, {}, others)
    text: Any = held[KEY]
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    try:
        values = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise _wrong(f"{where}: metadata {KEY!r}", "a JSON object, as text", repr(text)[:60])
    return Carried(where, values, others)


def is_number(value: Any) -> bool:
    """Whether it is a number of zero or more."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _wrong(what: str, rule: str, got: str) -> ExchangeError:
    return ExchangeError(
        f"{what} must be {rule}, got {got}. Write the graph again, or take the metadata away and "
        "state dt, order and reset as keywords."
    )
