"""What `fit` does with a folder in which something was lost or cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from spikewright import files
from spikewright.errors import CheckpointError, DataError
from spikewright.training import fit, load_checkpoint, read_metrics
from training.fakes import FakeData, FakeNetwork, GradientRule


def run(folder: Path, **options: Any) -> Any:
    options = {"epochs": 2, "batch_size": 5, "progress": False, **options}
    return fit(FakeNetwork(), FakeData(), GradientRule(), folder=folder, **options)


def test_damaged_last_is_refused_and_best_goes_on(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "last" / "checkpoint.json").write_bytes(b"damaged")
    before = (tmp_path / "metrics.jsonl").read_bytes()
    with pytest.raises(CheckpointError, match="resume='best'"):
        run(tmp_path, epochs=3)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
    assert run(tmp_path, epochs=3, resume="best").epochs == 3
    assert load_checkpoint(tmp_path / "last").meta["status"]["epoch"] == 3


def test_lost_last_is_not_taken_for_a_new_run(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "last" / "checkpoint.json").unlink()
    with pytest.raises(
        CheckpointError, match=r"got none\. resume='best' goes on from the best one"
    ):
        run(tmp_path)


def test_metrics_that_lost_lines_are_refused(tmp_path: Path) -> None:
    run(tmp_path)
    log = tmp_path / "metrics.jsonl"
    log.write_bytes(log.read_bytes()[:50])
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl must hold the \d+ bytes of the run"):
        run(tmp_path, epochs=3)
    log.write_text("not JSON at all\n")
    with pytest.raises(DataError, match=r"line 1 of .*metrics\.jsonl must be a JSON object"):
        read_metrics(tmp_path)


def test_last_line_cut_by_a_kill_is_left_out_and_then_replaced(tmp_path: Path) -> None:
    run(tmp_path)
    log = tmp_path / "metrics.jsonl"
    whole = read_metrics(tmp_path)
    with log.open("a") as file:
        file.write('{"kind": "tra')
    assert read_metrics(tmp_path) == whole
    run(tmp_path, epochs=3)
    assert [r["epoch"] for r in read_metrics(tmp_path)] == [1, 1, 2, 2, 3, 3]


def test_full_disk_stops_training_and_the_last_checkpoint_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tmp_path / "whole", epochs=4)
    write, saves = files._write, [0]

    def full(path: Path, content: bytes) -> None:
        saves[0] += path.name.endswith(".safetensors")
        if saves[0] > 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    monkeypatch.setattr(files, "_write", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        run(tmp_path / "full", epochs=4)
    monkeypatch.undo()
    resumed = run(tmp_path / "full", epochs=4)
    losses = [[r["loss"] for r in result.history] for result in (whole, resumed)]
    assert losses[0] == losses[1]


def test_folder_that_cannot_be_written_fails_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="must be writable"):
        run(tmp_path / "file" / "run")
