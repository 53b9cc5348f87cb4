"""A framework runs in a process of its own; whatever happens to it becomes one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spikewright.benches.core.contender import PYTHON_VARIABLE, Contender, Failed
from spikewright.benches.core.task import Task
from spikewright.benches.core.worker import MEMORY_VARIABLE
from spikewright.benches.core.xylosim import VARIABLE, interpreter
from spikewright.errors import ParameterError
from spikewright.openmp import SPIN_COUNT, SPIN_VARIABLE

TASK = Task("dense", "infer", 4, 2, (6, 5, 3), 0.5)
Start = Callable[..., Contender]


@pytest.fixture
def start() -> Iterator[Start]:
    """Contenders made of the fakes; their processes end with the test."""
    made: list[Contender] = []

    def start(variant: str, module: str = "fakes", **options: object) -> Contender:
        path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        made.append(Contender(module, variant, variables={"PYTHONPATH": path}, **options))
        return made[-1]

    yield start
    for contender in made:
        contender.close()


def test_a_run_is_timed_where_it_runs(start: Start) -> None:
    contender = start("slow")
    contender.load(TASK)
    assert 0.02 <= contender.seconds() < 5


def test_version_and_rates_come_back_though_the_framework_prints(start: Start) -> None:
    contender = start("quick")
    contender.load(TASK)
    assert contender.facts() == ("1.2", [0.25, 0.5])


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        ("missing", "not installed (No module named 'a_framework_that_nobody_has')"),
        ("not offered", "has no such neuron"),
        ("broken", "failed: ValueError: two shapes"),
    ],
)
def test_why_it_does_not_load_is_one_line(start: Start, variant: str, reason: str) -> None:
    with pytest.raises(Failed) as raised:
        start(variant).load(TASK)
    assert str(raised.value) == reason


def test_one_that_dies_says_so_and_starts_anew(start: Start) -> None:
    contender = start("dies")
    contender.load(TASK)
    with pytest.raises(Failed, match="died with exit code 7: out of luck"):
        contender.seconds()
    contender.load(TASK)
    assert contender.facts()[0] == "1.2"


def test_one_that_does_not_answer_is_given_up(start: Start) -> None:
    contender = start("hangs", patience=30.0)
    contender.load(TASK)
    contender.patience = 0.2
    with pytest.raises(Failed, match=r"no answer in 0\.2 s"):
        contender.seconds()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_memory_that_was_used_and_freed_counts(start: Start) -> None:
    contender = start("grows")
    contender.load(TASK)
    assert 29e6 < contender.growth(2) < 60e6


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_one_that_takes_too_much_memory_is_ended_and_says_so(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "900000000")
    contender = start("swells")
    contender.load(TASK)
    with pytest.raises(Failed, match=r"died with exit code 1: took more than 0\.9 GB"):
        contender.growth(1)


def version(contender: Contender) -> str:
    contender.load(TASK)
    return contender.facts()[0]


def test_our_setting_of_idle_threads_does_not_reach_others(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SPIN_VARIABLE, SPIN_COUNT)
    assert version(start(SPIN_VARIABLE)) == "not set"
    assert version(start(SPIN_VARIABLE, first="spikewright")) == SPIN_COUNT


def test_a_setting_of_the_user_reaches_all(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SPIN_VARIABLE, "77")
    assert version(start(SPIN_VARIABLE)) == "77"
    assert version(start(SPIN_VARIABLE, first="spikewright")) == "77"


def test_another_interpreter_runs_the_others_but_never_ours(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nWHO="the other" exec {sys.executable} "$@"\n')
    other.chmod(0o755)
    monkeypatch.setenv(PYTHON_VARIABLE, str(other))
    assert version(start("WHO")) == "the other"
    assert version(start("WHO", first="spikewright")) == "not set"


def test_an_interpreter_that_is_not_there_is_named(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(Failed, match=r"cannot start .*none: No such file"):
        version(start("WHO"))
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(ParameterError, match=r"must name a Python interpreter, got '.*none'"):
        interpreter()
