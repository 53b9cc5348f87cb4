"""``spikewright listen`` on files and on standard input, down to its end in mid-stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detection.listeners import RATE, make_listener, sound
from spikewright.cli.listen import Told, _hear
from spikewright.detection import Detection

SOURCE = Path(__file__).parents[2] / "src"
COMMAND = [sys.executable, "-c", "from spikewright.cli import main; main()", "listen"]


@pytest.fixture(scope="module")
def ears(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ears")
    make_listener().save(folder)
    return folder


@pytest.fixture(scope="module")
def found() -> list[tuple[float, str]]:
    """What the listener hears in the whole sound at once."""
    heard = make_listener().start().hear(np.round(sound() * 2**15) / 2**15)
    return [(round(one.time, 3), one.label) for one in heard]


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(path, samples, rate)
    return path


def told(text: str) -> list[tuple[float, str]]:
    lines = [json.loads(line) for line in text.splitlines()]
    return [(round(line["time"], 3), line["label"]) for line in lines]


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_file_is_told_as_it_is_heard_whole(
    call: Callable[..., Any], ears: Path, found: list, tmp_path: Path, suffix: str
) -> None:
    path = write(tmp_path / f"sound.{suffix}", sound())
    done = call("listen", ears, path, "--json", "--block", 0.07)
    assert done.exit_code == 0, done.output
    assert told(done.stdout) == found
    assert len(found) == 2


def test_lines_name_time_class_score_and_latency(
    call: Callable[..., Any], ears: Path, tmp_path: Path
) -> None:
    done = call("listen", ears, write(tmp_path / "sound.wav", sound()))
    first = done.stdout.splitlines()[0].split()
    assert (first[1:3], first[3], first[5], first[7]) == (["s", "low"], "score", "latency", "ms")
    assert "heard 4.0 s, 2 detections" in done.stderr
    assert "real-time factor" in done.stderr


def test_a_higher_threshold_is_put_to_the_detector(
    call: Callable[..., Any], ears: Path, tmp_path: Path
) -> None:
    path = write(tmp_path / "sound.wav", sound())
    assert call("listen", ears, path, "--threshold", 1.1).stdout == ""


def test_clipping_is_told(call: Callable[..., Any], ears: Path, tmp_path: Path) -> None:
    done = call("listen", ears, write(tmp_path / "loud.wav", np.clip(5 * sound(), -1, 1)))
    assert done.exit_code == 0
    assert "were clipped" in done.stderr


def test_an_empty_file_is_heard_to_its_end(
    call: Callable[..., Any], ears: Path, tmp_path: Path
) -> None:
    done = call("listen", ears, write(tmp_path / "empty.wav", np.zeros(0)))
    assert done.exit_code == 0, done.output
    assert "heard 0.0 s, 0 detections" in done.stderr


def test_faults_of_files_end_in_one_line(
    call: Callable[..., Any], ears: Path, tmp_path: Path
) -> None:
    missing = call("listen", ears, tmp_path / "none.wav")
    assert (missing.exit_code, "must exist" in missing.stderr) == (1, True)
    (tmp_path / "noise.wav").write_bytes(b"no sound at all")
    damaged = call("listen", ears, tmp_path / "noise.wav")
    assert (damaged.exit_code, "noise.wav must be a whole sound file" in damaged.stderr) == (
        1,
        True,
    )
    bare = call("listen", tmp_path, tmp_path / "noise.wav")
    assert bare.exit_code == 1


def test_a_file_is_heard_where_there_is_no_standard_input(ears: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "sound.wav", sound())
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    words = ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, str(ears), str(path)]
    done = subprocess.run(words, env=environment, capture_output=True, timeout=300, check=False)
    assert (done.returncode, b"2 detections" in done.stderr) == (0, True)


def test_latency_has_what_work_on_earlier_blocks_left_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock, spent = [0.0], iter([0.5, 0.1, 0.1, 0.1])

    class Slow:
        seconds = 0.0

        def hear(self, samples: np.ndarray) -> list[Detection]:
            self.seconds += 0.2
            clock[0] += next(spent)
            return [Detection(self.seconds, 0, "low", 1.0)]

    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    _hear(Slow(), [np.zeros(1)] * 4, Told(), as_json=True)
    latencies = [json.loads(line)["latency"] for line in capsys.readouterr().out.splitlines()]
    assert latencies == pytest.approx([0.5, 0.4, 0.3, 0.2])


def start(ears: Path, *words: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [*COMMAND, str(ears), "-", "--json", *words]
    return subprocess.Popen(command, env=environment, **pipes)  # type: ignore[call-overload]


def raw(samples: np.ndarray) -> bytes:
    return np.round(samples * 2**15).astype("<i2").tobytes()


def test_standard_input_that_is_closed_in_mid_stream_ends_the_work_in_order(
    ears: Path, found: list
) -> None:
    cut = raw(sound())[: 5 * RATE + 1]  # 2.5 s and half a sample
    out, errors = start(ears).communicate(cut, timeout=300)
    assert told(out.decode()) == found[:1]
    assert "ended inside a sample" in errors.decode()
    assert "heard 2.5 s, 1 detections" in errors.decode()


def test_detections_are_told_while_the_stream_is_open(ears: Path, found: list) -> None:
    with start(ears) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(raw(sound()[: 2 * RATE]))
        process.stdin.flush()
        assert told(process.stdout.readline().decode()) == found[:1]
        process.stdin.close()
        assert process.wait(timeout=300) == 0


def test_a_reader_that_leaves_ends_the_work_without_a_traceback(ears: Path) -> None:
    with start(ears) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(raw(sound()))
        process.stdin.close()
        errors = process.stderr.read().decode()
        assert process.wait(timeout=300) == 0, errors
        assert "Traceback" not in errors
