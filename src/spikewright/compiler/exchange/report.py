"""What a reading or a writing assumed, carried, changed or lost, line by line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["assumed", "carried", "changed", "lost"]


@dataclass(frozen=True)
class Entry:
    """One fact about a reading or a writing.

    Args:
        where: name of a node or layer, or ``"network"``.
        kind: ``"assumed"`` (the graph does not say it: a keyword or a default did), ``"carried"``
            (in the metadata, which this package alone reads), ``"changed"`` (said in another
            way) or ``"lost"``.
        what: the fact, a phrase.
    """

    where: str
    kind: Kind
    what: str


@dataclass(frozen=True)
class Report:
    """All entries of one reading or writing; ``print`` it.

    >>> print(Report("reading NIR", (Entry("a", "assumed", "order 'euler'"),)))
    reading NIR: 1 assumed
      assumed  a: order 'euler'
    """

    title: str
    entries: tuple[Entry, ...]

    def of(self, kind: Kind) -> tuple[Entry, ...]:
        """The entries of one kind."""
        return tuple(entry for entry in self.entries if entry.kind == kind)

    def __str__(self) -> str:
        counts: dict[str, int] = {}
        places: dict[tuple[str, str], list[str]] = {}
        for entry in self.entries:
            counts[entry.kind] = counts.get(entry.kind, 0) + 1
            places.setdefault((entry.kind, entry.what), []).append(entry.where)
        total = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing to say"
        lines = [f"{self.title}: {total}"]
        for (kind, what), where in places.items():
            lines.append(f"  {kind:<7}  {', '.join(where)}: {what}")
        return "\n".join(lines)


@dataclass
class Notes:
    """A report being written."""

    entries: list[Entry] = field(default_factory=list[Entry])

    def add(self, where: str, kind: Kind, what: str) -> None:
        """Add an entry, once."""
        entry = Entry(where, kind, what)
        if entry not in self.entries:
            self.entries.append(entry)

    def report(self, title: str) -> Report:
        """The report of what was noted so far."""
        return Report(title, tuple(self.entries))
