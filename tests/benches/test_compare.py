"""Frameworks side by side: turns, ratios, and what is missing is listed."""

from __future__ import annotations

from typing import Any

import pytest

from spikewright.benches.core import compare
from spikewright.benches.core.compare import Entry, measure, measure_memory, to_rows
from spikewright.benches.core.contender import Failed
from spikewright.benches.core.task import Task

TASK = Task("dense", "train", 4, 2, (6, 5, 3), 0.05)


class Fake:
    """A contender in this process, which takes as many seconds as it is told."""

    def __init__(self, name: str, seconds: float, log: list[str], fails_at: str = "") -> None:
        self.name, self.taken, self.log, self.fails_at = name, seconds, log, fails_at

    def _do(self, what: str) -> None:
        if what == self.fails_at:
            raise Failed(f"failed to {what}")
        self.log.append(f"{what} {self.name}")

    def load(self, task: Task) -> None:
        self._do("load")

    def seconds(self) -> float:
        self._do("run")
        return self.taken

    def facts(self) -> tuple[str, list[float]]:
        self._do("ask")
        return "1.0", [0.05]

    def growth(self, runs: int) -> int:
        self._do("grow")
        return int(self.taken * 1e9)

    def close(self) -> None:
        self.log.append(f"close {self.name}")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(compare, "PAUSE", 0.0)
    return []


def made(log: list[str], *given: tuple[str, str, float, str]) -> list[Entry]:
    return [
        Entry(name, kind, fake(name, seconds, log, fails)) for name, kind, seconds, fails in given
    ]


def fake(*values: Any) -> Any:
    return Fake(*values)


def test_frameworks_take_turns_and_every_other_round_goes_backwards(log: list[str]) -> None:
    found = made(log, ("a", "ours", 1.0, ""), ("b", "peer", 2.0, ""))
    measure(TASK, found, rounds=3)
    assert [line[-1] for line in log if line.startswith("run")] == list("ab" + "ab" + "ba" + "ab")
    assert [entry.samples for entry in found] == [[1000.0] * 3, [2000.0] * 3]
    assert log[-2:] == ["close a", "close b"]


def test_the_fastest_peer_is_marked_and_a_limit_or_a_loop_by_hand_is_none(log: list[str]) -> None:
    found = made(
        log,
        ("ours", "ours", 0.002, ""),
        ("slow", "peer", 0.008, ""),
        ("quick", "peer", 0.006, ""),
        ("loop", "by hand", 0.004, ""),
        ("copy", "limit", 0.001, ""),
    )
    measure(TASK, found, rounds=2)
    rows = list(to_rows(TASK, found, "ms"))
    assert [(row.other_name, row.ratio, row.kind) for row in rows] == [
        ("copy 1.0", pytest.approx(0.5), "limit"),
        ("loop 1.0", pytest.approx(2.0), "by hand"),
        ("quick 1.0 (fastest peer)", pytest.approx(3.0), "peer"),
        ("slow 1.0", pytest.approx(4.0), "peer"),
    ]
    assert rows[0].case == "train step 6-5-3, T=4 B=2, 5 % ones; hidden rate 5 %"
    assert rows[0].note == "rate 5 %"


@pytest.mark.parametrize("when", ["load", "run", "ask"])
def test_one_that_fails_is_listed_last_with_its_reason(log: list[str], when: str) -> None:
    found = made(
        log, ("bad", "peer", 1.0, when), ("ours", "ours", 1.0, ""), ("good", "peer", 2.0, "")
    )
    measure(TASK, found, rounds=2)
    rows = list(to_rows(TASK, found, "ms"))
    assert [row.other for row in rows] == [2000.0, None]
    assert (rows[1].other_name, rows[1].note) == ("bad", f"failed to {when}")
    assert rows[1].ratio is None
    assert found[2].samples == [2000.0, 2000.0]


def test_without_a_figure_of_ours_the_others_are_listed_still(log: list[str]) -> None:
    found = made(log, ("ours", "ours", 1.0, "run"), ("peer", "peer", 2.0, ""))
    measure(TASK, found, rounds=1)
    (row,) = to_rows(TASK, found, "ms")
    assert (row.ours, row.other, row.ratio) == (None, 2000.0, None)
    assert row.note == "ours: failed to run; rate 5 %"


def test_a_further_way_of_ours_stands_beside_the_fastest_peer(log: list[str]) -> None:
    found = made(log, ("ours", "ours", 1.0, ""), ("peer", "peer", 2.0, ""), ("p", "peer", 9.0, ""))
    found.append(Entry("ours", "ours", fake("ours", 4.0, log), way="another way"))
    measure(TASK, found, rounds=1)
    *_, last = to_rows(TASK, found, "ms")
    assert (last.ours, last.other, last.ratio) == (4000.0, 2000.0, 0.5)
    assert ", another way" in last.case


def test_memory_is_taken_in_fresh_processes_with_their_code_loaded(log: list[str]) -> None:
    found = made(log, ("ours", "ours", 0.001, ""), ("peer", "peer", 0.003, ""))
    measure_memory(TASK, found, rounds=2)
    once = ["load {}", "run {}", "load {}", "grow {}", "ask {}", "close {}"]
    turns = ("ours", "ours", "peer", "peer", "ours")
    assert log == [step.format(n) for n in turns for step in once]
    assert [len(entry.samples) for entry in found] == [2, 2]
    (row,) = to_rows(TASK, found, "MB")
    assert (row.ours, row.other, row.unit) == (1.0, 3.0, "MB")


def test_other_ways_of_using_this_package_can_be_asked_for() -> None:
    found = compare.entries(TASK, own=("", "memory='checkpoint'"))
    assert [e.way for e in found if e.kind == "ours"] == ["", "memory='checkpoint'"]
    assert len(found) == len(compare.entries(TASK)) + 1


def test_every_framework_there_is_takes_part_in_every_case() -> None:
    found = compare.entries(TASK)
    assert {"snnTorch", "Norse", "SpikingJelly", "sinabs", "Spyx (JAX)"} <= {
        entry.name for entry in found if entry.kind == "peer"
    }
    assert [entry.name for entry in found if entry.kind == "ours"] == ["this package"]
    assert [entry.name for entry in found if entry.kind == "limit"] == ["dense products alone"]
