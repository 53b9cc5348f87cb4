"""What a window costs in loss: pairs from the same seed."""

from __future__ import annotations

import pytest

from spikewright.benches.core import losses
from spikewright.benches.core.task import Task
from spikewright.benches.peers.spikewright import WINDOWS

WINDOWED = WINDOWS[0]
TASK = Task("recurrent", "train", 12, 16, (40, 24, 3), 0.2)


def test_training_is_the_same_from_the_same_seed_only() -> None:
    first = losses.trained(TASK, WINDOWED, 0, 3)
    assert first == losses.trained(TASK, WINDOWED, 0, 3)
    assert first != losses.trained(TASK, WINDOWED, 1, 3)


def test_both_ways_start_from_the_same_loss_and_are_trained_on_their_own() -> None:
    before = [losses.trained(TASK, way, 0, 0) for way in (WINDOWED, "")]
    after = [losses.trained(TASK, way, 0, 10) for way in (WINDOWED, "")]
    assert before[0] == before[1]
    assert after[0] != after[1]


def test_there_is_something_to_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "LEARNING_RATE", 1e-2)
    before, after = (losses.trained(TASK, "", 0, steps)[0] for steps in (0, 60))
    assert after < 0.8 * before


def test_the_row_names_seeds_and_both_losses() -> None:
    row, other = losses.loss_rows(TASK, range(2), steps=2)
    assert WINDOWS[0] in row.case
    assert WINDOWS[1] in other.case
    assert "2 seeds" in row.case
    pairs = [losses.trained(TASK, way, 0, 2)[0] for way in (WINDOWED, "")]
    spread = [losses.trained(TASK, way, 1, 2)[0] for way in (WINDOWED, "")]
    assert row.ours == pytest.approx((pairs[0] + spread[0]) / 2)
    assert row.other == pytest.approx((pairs[1] + spread[1]) / 2)
    assert row.note.startswith("windowed minus full")
