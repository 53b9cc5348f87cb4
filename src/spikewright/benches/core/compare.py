"""Our package beside all others on the same task: one timing from each in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spikewright.benches import peers
from spikewright.benches.core.contender import Contender, Failed
from spikewright.benches.core.row import Row
from spikewright.benches.core.task import Task
from spikewright.benches.core.timing import Timing

OURS = "ours"
PAUSE = 0.02
"""Seconds before each timing, in which the threads of the one before fall asleep."""
MEMORY_RUNS = 3
TINY = 4


@dataclass
class Entry:
    """One framework, or one way of using it, and what was found.

    Attributes:
        name: what tables call it.
        kind: ``"ours"``, ``"peer"``, ``"by hand"`` or ``"limit"``.
        way: which of several ways of using it.
        samples: the figures, in the unit of the task, or bytes.
        reason: why there is none, if there is none.
    """

    name: str
    kind: str
    contender: Contender
    way: str = ""
    samples: list[float] = field(default_factory=list)
    version: str = ""
    rates: list[float] = field(default_factory=list)
    reason: str = ""

    @property
    def timing(self) -> Timing:
        return Timing(tuple(self.samples))

    @property
    def median(self) -> float | None:
        """The figure; ``None`` if there is none."""
        return self.timing.median if self.samples else None

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}".strip() + (f", {self.way}" if self.way else "")

    def order(self) -> tuple[bool, float, str]:
        """Smallest figure first, the missing last."""
        return self.median is None, self.median or 0.0, self.label

    def attempt(self, act: Callable[[Entry], object]) -> None:
        """Do something with the contender unless it failed before; note if it fails."""
        if self.reason:
            return
        try:
            act(self)
        except Failed as cause:
            self.reason, self.samples = str(cause), []


def entries(task: Task, own: Sequence[str] = ()) -> list[Entry]:
    """All frameworks that benchmarks know, in every way of using them, installed or not.

    Args:
        own: ways of using this package, in place of those it names for the task.
    """
    lookup, found = peers.PEERS, list[Entry]()
    for name in lookup.names():
        module: Any = lookup.load(name)
        for variant in (module.KIND == OURS and own) or peers.ways(module, task):
            first = "spikewright" if module.KIND == OURS else "torch"
            contender = Contender(module.__name__, variant, first=first)
            found.append(Entry(lookup.summary(name), module.KIND, contender, variant))
    return found


def measure(task: Task, found: Sequence[Entry], rounds: int) -> None:
    """Time ``rounds`` runs of each entry, taking turns; every other round goes backwards.

    An entry that fails keeps its reason and is left out from then on.
    """

    def once(entry: Entry) -> None:
        time.sleep(PAUSE)
        entry.samples.append(task.figure(entry.contender.seconds()))

    def facts(entry: Entry) -> None:
        entry.version, entry.rates = entry.contender.facts()

    try:
        for entry in found:
            entry.attempt(lambda entry: entry.contender.load(task))
            entry.attempt(lambda entry: entry.contender.seconds())
        for number in range(rounds):
            for entry in found if number % 2 == 0 else found[::-1]:
                entry.attempt(once)
        for entry in found:
            entry.attempt(facts)
    finally:
        for entry in found:
            entry.contender.close()


def measure_memory(task: Task, found: Sequence[Entry], rounds: int) -> None:
    """How many MB a few runs add to a process that has network and data, a fresh one each time.

    A tiny task runs in it before, so that code which is loaded on first use does not count. Ours
    also has a process before that, so that its kernels are compiled as on any later day. The
    entries take turns; every other round goes backwards.
    """
    for entry in found:
        if entry.kind == OURS:
            entry.attempt(lambda entry: _grow(entry, task))
            entry.samples.clear()
    for number in range(rounds):
        for entry in found if number % 2 == 0 else found[::-1]:
            entry.attempt(lambda entry: _grow(entry, task))


def _grow(entry: Entry, task: Task) -> None:
    try:
        entry.contender.load(replace(task, steps=TINY, batch=TINY))
        entry.contender.seconds()
        entry.contender.load(task)
        entry.samples.append(max(entry.contender.growth(MEMORY_RUNS), 1) / 1e6)
        entry.version, entry.rates = entry.contender.facts()
    finally:
        entry.contender.close()


def compared(tasks: Iterable[Task], rounds: int) -> Iterator[Row]:
    """The rows of each task, timed over all frameworks."""
    for task in tasks:
        found = entries(task)
        measure(task, found, rounds)
        yield from to_rows(task, found, task.unit)


def to_rows(task: Task, found: Sequence[Entry], unit: str) -> Iterator[Row]:
    """Ours beside every other, the fastest first and the missing last.

    Further ways of ours stand beside the fastest peer alone. Figures are medians.
    """
    ours, *ways = sorted((e for e in found if e.kind == OURS), key=lambda entry: not entry.samples)
    others = sorted((e for e in found if e.kind != OURS), key=Entry.order)
    fastest = next((e for e in others if e.kind == "peer" and e.samples), None)
    mark = " (leanest peer)" if unit == "MB" else " (fastest peer)"
    for other in others:
        yield _row(task, ours, other, unit, mark if other is fastest else "")
    for way in ways:
        if fastest is not None:
            yield _row(task, way, fastest, unit, mark)


def _row(task: Task, ours: Entry, other: Entry, unit: str, mark: str) -> Row:
    way = f", {ours.way}" if ours.way else ""
    notes = [f"ours: {ours.reason}" if ours.reason else "", other.reason or _rates(other)]
    return Row(
        f"{task.label}{way}{_rates(ours, '; hidden rate ')}",
        ours.median,
        other.median,
        f"{other.label}{mark}",
        unit,
        note="; ".join(filter(None, notes)),
        kind=other.kind,
        spread=(ours.timing.spread, other.timing.spread),
    )


def _rates(entry: Entry, before: str = "rate ") -> str:
    values = " and ".join(f"{100 * rate:.2g}" for rate in entry.rates)
    return f"{before}{values} %" if values else ""
