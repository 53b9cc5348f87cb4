"""The recipe `babi`, on a few made-up questions and by its settings."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

import spikewright as sw
from spikewright.recipes import recipe
from spikewright.recipes.babi import ACCURACY, PARAMETERS, SOLVED, SPIKES, of_task
from spikewright.settings import Source

NAMES, PLACES = ("Mary", "John", "Sandra"), ("garden", "kitchen")


def stories(first: int, count: int) -> str:
    """Two moves and a question each."""
    lines = []
    for k in range(first, first + count):
        names = NAMES[k % 3], NAMES[(k + 1) % 3]
        places = PLACES[k // 3 % 2], PLACES[k // 2 % 2]
        lines += [f"{n} {name} went to the {place}." for n, (name, place) in
                  enumerate(zip(names, places, strict=True), 1)]  # fmt: skip
        lines += [f"3 Where is {names[k % 2]}?\t{places[k % 2]}\t{k % 2 + 1}"]
    return "\n".join(lines)


@pytest.fixture
def questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "data" / "babi" / "babi-tasks-v1-1-en.tar.xz"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:xz") as archive:
        for task in (1, 6):
            for part, first in (("train", 0), ("test", 100)):
                text = stories(first + task, 24).encode()
                info = tarfile.TarInfo(f"tasksv11/en/qa{task}_made-up_{part}.txt")
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text))
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(tmp_path / "data"))
    return tmp_path


def test_both_networks_are_trained_and_told_by_task(questions: Path) -> None:
    given = {
        "tasks": (1, 6),
        "epochs": 1,
        "validation": 4,
        "sentences": 2,
        "encoder": 8,
        "relation": (8,),
        "answer": (8,),
    }
    settings = recipe("babi").settings("small", [Source("test", given)])
    found = recipe("babi").measure(settings, questions / "run", resume=False, progress=False)
    tasks = [found[of_task(task)] for task in (1, 6)]
    assert found[ACCURACY] == pytest.approx(sum(tasks) / 2)
    assert found[SOLVED] == sum(value >= 95 for value in tasks)
    assert found[f"LSTM: {PARAMETERS}"] == pytest.approx(found[PARAMETERS], rel=0.1)
    assert found[SPIKES] > 0
    assert 0 <= found[f"LSTM: {of_task(6)}"] <= 100


def test_full_is_all_tasks_in_whole_stories() -> None:
    settings = recipe("babi").settings("full")
    assert settings.tasks == tuple(range(1, 21))
    data = recipe("babi").data(settings)
    assert isinstance(data, sw.data.Babi)
    assert (data.sentences, data.words) == (20, 11)
