"""`spikewright run`: a folder with everything in it, the same for the same seed, and resumable."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikewright.training import load_checkpoint, read_metrics

Call = Callable[..., Any]
QUICK = ["run", "yin-yang", "--no-progress", "--set", "schedule=constant"]
QUICK += ["--set", "target=software"]
TIMES = ("training time, s", "time an epoch, s")


def figures(folder: Path) -> dict[str, float]:
    metrics = json.loads((folder / "result.json").read_text())["metrics"]
    return {name: value for name, value in metrics.items() if name not in TIMES}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One epoch of Yin-Yang: what was printed, and the folder."""
    from typer.testing import CliRunner

    from spikewright.cli import app

    folder = tmp_path_factory.mktemp("runs") / "first"
    done = CliRunner().invoke(app, [*QUICK, "--epochs", "1", "--folder", str(folder)])
    assert done.exit_code == 0, done.stderr
    return done, folder


def test_a_run_leaves_settings_metrics_checkpoints_result_and_report(first: Any) -> None:
    done, folder = first
    assert {path.name for path in folder.iterdir()} == {
        "settings.toml", "metrics.jsonl", "last", "best", "result.json", "report.html",
    }  # fmt: skip
    accuracy = figures(folder)["test accuracy, %"]
    assert f"{accuracy:.2f} %" in done.stdout
    assert str(folder / "report.html") in done.stdout.replace("\n", "")
    assert 70 < accuracy < 100


def test_the_report_shows_the_run(first: Any) -> None:
    _, folder = first
    page = (folder / "report.html").read_text()
    assert "<title>Yin-Yang" in page
    for said in ("Confusion matrix", "Membrane", "1_cubalif", "2_linear", "hidden_mean"):
        assert said in page


def test_the_same_seed_gives_the_same_figures_and_another_one_others(
    first: Any, call: Call, tmp_path: Path
) -> None:
    for seed in (0, 1):
        done = call(*QUICK, "--epochs", 1, "--seed", seed, "--folder", tmp_path / str(seed))
        assert done.exit_code == 0
    assert figures(tmp_path / "0") == figures(first[1])
    assert figures(tmp_path / "1") != figures(first[1])


def test_the_settings_that_a_run_leaves_start_the_same_run(
    first: Any, call: Call, tmp_path: Path
) -> None:
    config = first[1] / "settings.toml"
    done = call("run", "--config", config, "--no-progress", "--folder", tmp_path / "again")
    assert done.exit_code == 0
    assert figures(tmp_path / "again") == figures(first[1])


def test_other_settings_in_the_same_folder_are_refused_unless_fresh(first: Any, call: Call) -> None:
    _, folder = first
    before = figures(folder)
    words = [*QUICK, "--epochs", 1, "--folder", folder]
    done = call(*words, "--set", "learning_rate=0.01")
    assert done.exit_code == 2
    assert "learning_rate must be that of the run in" in done.stderr
    assert "0.005, got 0.01. Start anew with --fresh" in done.stderr
    assert figures(folder) == before
    assert call(*words, "--fresh").exit_code == 0
    assert figures(folder) == before


def test_resume_insists_on_a_run(call: Call, tmp_path: Path) -> None:
    done = call(*QUICK, "--resume", "--folder", tmp_path)
    assert done.exit_code == 1
    assert "must hold a checkpoint to resume" in done.stderr


def test_a_time_budget_ends_training_early(call: Call, tmp_path: Path) -> None:
    done = call(*QUICK, "--epochs", 10000, "--seconds", 0.5, "--folder", tmp_path)
    assert done.exit_code == 0
    assert json.loads((tmp_path / "result.json").read_text())["stopped"] == "seconds"
    assert "ended by seconds" in done.stdout


def test_run_without_a_name_lists_the_recipes(call: Call) -> None:
    assert "yin-yang" in call("run").stdout


def test_a_run_stopped_by_ctrl_c_goes_on_and_equals_one_that_was_not(
    call: Call, start: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "stopped"
    process = start(*QUICK, "--epochs", 1000, "--folder", folder)
    log = folder / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "stopped: by Ctrl-C, all is saved in" in said
    assert "Traceback" not in said
    epochs = load_checkpoint(folder / "last").meta["status"]["epoch"] + 1
    assert call(*QUICK, "--epochs", epochs, "--folder", folder).exit_code == 0
    assert call(*QUICK, "--epochs", epochs, "--folder", tmp_path / "whole").exit_code == 0
    assert figures(folder) == figures(tmp_path / "whole")
    assert len(read_metrics(folder)) == 2 * epochs


def test_memory_and_truncate_are_flags_that_reach_the_rule(call: Call, tmp_path: Path) -> None:
    flags = ["--memory", "checkpoint", "--truncate", "20", "--folder", tmp_path / "run"]
    done = call(*QUICK, "--seconds", "0.1", *flags)
    assert done.exit_code == 0, done.stderr
    rule = load_checkpoint(tmp_path / "run" / "last").meta["run"]["rule_settings"]
    assert "memory='checkpoint', truncate=20" in rule
    settings = (tmp_path / "run" / "settings.toml").read_text()
    assert 'memory = "checkpoint"' in settings
    assert "truncate = 20" in settings
