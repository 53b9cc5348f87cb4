from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from spikewright.training import display, fit
from spikewright.training.progress import (
    Progress,
    format_clock,
    init_progress,
    plain_line,
    seconds_left,
    share_done,
    step_progress,
)
from training.fakes import FakeData, FakeNetwork, GradientRule

UNDER_WAY = Progress(
    steps=469,
    epochs=10,
    epoch=3,
    step=211,
    seconds=187.2,
    speed=28.4,
    metrics={"loss": 0.3482, "accuracy": 0.8812},
    rates={"1_cubalif": 0.0712, "3_lif": 0.0, "5_lif": 0.68},
    validation={"loss": 0.39, "accuracy": 0.864},
    best={"loss": 0.385, "accuracy": 0.8661},
    memory=812 * 2**20,
)


def draw(progress: Progress) -> str:
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(display.render(progress))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_steady_batches_give_their_speed_and_the_time_left() -> None:
    progress = init_progress(steps=10, epochs=2)
    for step in range(1, 6):
        progress = step_progress(progress, (0, step), 3.0 + 0.5 * step, {"loss": 1.0})
    assert progress.speed == pytest.approx(2.0)
    assert seconds_left(progress) == pytest.approx(15 / 2.0)
    assert share_done(progress) == pytest.approx(5 / 20)


def test_first_batch_which_compiles_does_not_count_for_speed() -> None:
    first = step_progress(init_progress(steps=10, epochs=1), (0, 1), 60.0, {"loss": 1.0})
    assert first.speed == 0
    assert seconds_left(first) is None
    assert step_progress(first, (0, 2), 60.1, {"loss": 1.0}).speed == pytest.approx(10.0)


def test_time_budget_bounds_the_time_left() -> None:
    progress = replace(UNDER_WAY, budget=200.0)
    assert seconds_left(progress) == pytest.approx(12.8)
    assert share_done(progress) == pytest.approx(187.2 / 200)
    assert seconds_left(replace(progress, seconds=300.0)) == 0


def test_running_mean_follows_a_change_and_keeps_rates_apart() -> None:
    progress = init_progress(steps=100, epochs=1)
    for step in range(1, 100):
        metrics = {"loss": 2.0 if step < 10 else 1.0, "rates/hidden": 0.25}
        progress = step_progress(progress, (0, step), float(step), metrics)
    assert progress.metrics["loss"] == pytest.approx(1.0, abs=0.02)
    assert progress.rates == {"hidden": pytest.approx(0.25)}


def test_clock_carries_seconds_into_minutes() -> None:
    assert format_clock(59.7) == "1:00"
    assert format_clock(3599.6) == "1:00:00"


def test_panel_shows_everything_that_is_known() -> None:
    text = draw(UNDER_WAY)
    for word in ("28.4 batches/s", "812 MiB", "3:07 gone, 1:48 left", "epoch 4/10"):
        assert word in text
    for word in ("batch 211/469", "0.3482", "88.12 %", "86.40 %", "86.61 %", "0.0712"):
        assert word in text
    silent, saturated = (
        next(line for line in text.splitlines() if layer in line) for layer in ("3_lif", "5_lif")
    )
    assert "silent" in silent
    assert "saturated" in saturated


def test_panel_before_the_first_batch_invents_nothing() -> None:
    text = draw(init_progress(steps=469, epochs=10))
    assert "--:-- left" in text
    assert "loss" not in text
    assert "MiB" not in text


def test_plain_line_says_the_same_in_one_line() -> None:
    assert plain_line(UNDER_WAY) == (
        "epoch 4/10 batch 211/469  loss 0.3482  accuracy 88.12 %  validation 86.40 %  "
        "rates 1_cubalif=0.071 3_lif=0.000 5_lif=0.680  28.4 batches/s  1:48 left"
    )


def test_without_a_terminal_there_is_one_plain_line_an_epoch(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = {"batch_size": 5, "folder": tmp_path}
    fit(FakeNetwork(), FakeData(), GradientRule(), epochs=2, **options)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    fit(FakeNetwork(), FakeData(), GradientRule(), epochs=3, **options)
    first, last = capsys.readouterr().err.splitlines()
    assert first.endswith("last after 10 batches")
    assert last.startswith("epoch 3/3  loss")


def test_in_a_terminal_the_panel_is_drawn_and_left_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system=None)
    monkeypatch.setattr(display, "open_display", lambda show: display.Live(console))
    monkeypatch.setattr("spikewright.training.session.open_display", display.open_display)
    fit(FakeNetwork(), FakeData(), GradientRule(), epochs=2, batch_size=5)
    assert isinstance(console.file, io.StringIO)
    last = console.file.getvalue().split("╭─ training")[-1]
    assert "epoch 2/2" in last
    assert "MiB memory" in last


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    fit(FakeNetwork(), FakeData(), GradientRule(), epochs=1, progress=False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
