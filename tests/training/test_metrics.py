from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from spikewright.errors import CheckpointError, DataError, MissingDependency
from spikewright.training import fit, rate_warnings, read_metrics
from spikewright.training.means import Means
from spikewright.training.metrics import JsonLines
from training.fakes import FakeData, FakeNetwork, GradientRule


def test_each_record_is_in_the_file_when_write_returns(tmp_path: Path) -> None:
    log = JsonLines(tmp_path)
    for step in range(3):
        log.write({"kind": "train", "step": step})
        assert len(read_metrics(tmp_path)) == step + 1
    log.close()


def test_opening_at_a_position_cuts_what_came_after_it(tmp_path: Path) -> None:
    log = JsonLines(tmp_path)
    log.write({"step": 1})
    position = log.position
    log.write({"step": 2})
    log.close()
    again = JsonLines(tmp_path, position)
    again.write({"step": 3})
    again.close()
    assert read_metrics(tmp_path) == [{"step": 1}, {"step": 3}]


def test_value_that_is_not_finite_is_null(tmp_path: Path) -> None:
    log = JsonLines(tmp_path)
    log.write({"loss": math.nan, "rates": {"a": math.inf}})
    log.close()
    assert read_metrics(tmp_path / "metrics.jsonl") == [{"loss": None, "rates": {"a": None}}]


def test_file_that_cannot_be_written_or_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl must be writable, got"):
        JsonLines(tmp_path)
    with pytest.raises(DataError, match="must be a readable file"):
        read_metrics(tmp_path / "none")


def test_means_in_two_parts_equal_means_in_one() -> None:
    values = torch.rand(6, generator=torch.Generator().manual_seed(0)).tolist()
    whole, first, second = Means(), Means(), Means()
    for i, value in enumerate(values):
        whole = whole.add({"loss": value}, i + 1)
        if i < 3:
            first = first.add({"loss": value}, i + 1)
        else:
            second = second.add({"loss": value, "late": value}, i + 1)
    joined = first.merge(second)
    assert joined.result()["loss"] == pytest.approx(whole.result()["loss"])
    assert joined.counts == {"loss": 21, "late": 15}


def test_rates_are_judged_at_their_limits() -> None:
    assert rate_warnings({"a": 1e-9, "b": 0.5}) == []
    silent, saturated = rate_warnings({"a": 0.0, "b": 0.51})
    assert "layer 'a' must spike to learn" in silent
    assert "layer 'b' must stay below 0.5" in saturated
    assert rate_warnings({"c": 7.5}, {"c": 15}) == []
    (saturated,) = rate_warnings({"c": 7.6}, {"c": 15})
    assert "layer 'c' must stay below 7.5" in saturated


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:tensorboard")
def test_tensorboard_files_hold_the_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    options: dict[str, Any] = {"folder": tmp_path, "tensorboard": True, "progress": False}
    fit(FakeNetwork(), FakeData(), GradientRule(), epochs=1, batch_size=5, **options)
    result = fit(FakeNetwork(), FakeData(), GradientRule(), epochs=2, batch_size=5, **options)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    points = [(e.step, e.value) for e in events.Scalars("train/loss")]
    trained = [r for r in result.history if r["kind"] == "train"]
    assert points == [(r["step"], pytest.approx(r["loss"])) for r in trained]
    assert "train/rates/0_first" in events.Tags()["scalars"]


def test_tensorboard_that_is_not_installed_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingDependency, match=r"pip install 'spikewright\[tensorboard\]'"):
        fit(
            FakeNetwork(),
            FakeData(),
            GradientRule(),
            epochs=1,
            folder=tmp_path,
            tensorboard=True,
            progress=False,
        )
