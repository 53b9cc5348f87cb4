"""`spikewright --version`, `--help`, `doctor`, `data` and `bench`."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import spikewright as sw
from spikewright.benches import BENCHES, Row
from spikewright.cli.doctor import _table

Call = Callable[..., Any]


def test_the_version_is_printed(call: Call) -> None:
    assert call("--version").stdout == f"spikewright {sw.__version__}\n"


def test_help_names_every_verb_and_loads_nothing_heavy(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    printed, said = start("--help").communicate(timeout=60)
    assert said == ""
    for verb in ("run", "doctor", "profile", "data", "bench", "reproduce", "settings", "compile"):
        assert f" {verb} " in printed


def test_the_command_line_imports_what_a_verb_needs_with_the_verb() -> None:
    program = "import sys, spikewright.cli; print(*sys.modules)"
    import sys

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert loaded & {"pydantic", "plotly", "lightning_fabric", "safetensors", "h5py"} == set()


def test_doctor_shows_each_layer_and_what_runs_it(call: Call) -> None:
    done = call("doctor", "yin-yang", "--set", "hidden=30")
    assert done.exit_code == 0, done.stderr
    assert "1_cubalif" in done.stdout
    assert "CubaLIF: cpu" in done.stdout
    assert "Nothing stands out." in done.stdout


@pytest.mark.parametrize(("window", "gradient"), [(None, None), (0.25, None), (0.25, 2.0)])
def test_doctor_leaves_out_what_no_layer_has(window: float | None, gradient: float | None) -> None:
    layer = SimpleNamespace(name="a", rate=0.1, silent=0.5, in_window=window, gradient=gradient)
    chosen: Any = SimpleNamespace(recipe=SimpleNamespace(title="A recipe"))
    page = Console(file=io.StringIO(), width=100)
    page.print(_table(chosen, SimpleNamespace(layers=[layer], advice=()), None))
    shown = page.file.getvalue()  # type: ignore[attr-defined]
    assert "50.0%" in shown
    assert ("in window" in shown, "25.0%" in shown) == (window is not None,) * 2
    assert ("gradient norm" in shown, "2.00e+00" in shown) == (gradient is not None,) * 2


def test_doctor_gives_advice_on_a_silent_layer(call: Call) -> None:
    done = call("doctor", "yin-yang", "--set", "hidden_mean=0.0", "--set", "hidden_sd=0.0")
    assert "layer '1_cubalif' is silent" in done.stdout


def test_profile_shows_what_each_layer_costs(call: Call) -> None:
    done = call("profile", "yin-yang", "--set", "hidden=30")
    assert done.exit_code == 0, done.stderr
    for word in ("backward, ms", "1_cubalif", "cpu (float32 on the CPU)"):
        assert word in done.stdout


def test_data_list_shows_names_licences_and_the_folder(call: Call, tmp_path: Path) -> None:
    printed = call("data", "list", "--folder", tmp_path).stdout
    for name in sw.data.DATASETS:
        assert name in printed
    assert "MIT" in printed
    assert str(tmp_path) in printed.replace("\n", "")


def test_data_verify_makes_the_generated_set_and_compares_it(call: Call) -> None:
    done = call("data", "verify", "yin-yang")
    assert done.exit_code == 0
    assert "equal to the published set" in done.stdout


def test_data_verify_fails_where_a_named_file_is_absent_or_damaged(
    call: Call, tmp_path: Path
) -> None:
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"not a picture")
    done = call("data", "verify", "fashion-mnist", "--folder", tmp_path)
    assert done.exit_code == 1
    assert "absent" in done.stdout
    assert "SHA-256 is" in done.stdout


def test_data_verify_of_all_sets_forgives_absent_files_only(call: Call, tmp_path: Path) -> None:
    assert call("data", "verify", "--folder", tmp_path).exit_code == 0


def test_data_fetch_says_where_the_files_lie(call: Call, shared_data: Path) -> None:
    done = call("data", "fetch", "fashion-mnist", "yin-yang", "--folder", shared_data)
    assert done.exit_code == 0
    assert "fashion-mnist: 4 files in" in done.stdout
    assert "yin-yang: nothing to fetch" in done.stdout


@pytest.fixture
def made_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows() -> Iterator[Row]:
        yield Row("forward", ours=2.0, other=5.0, other_name="eager", unit="ms")
        yield Row("batches", 100.0, 200.0, "peer", "1/s", better="higher")

    monkeypatch.setattr(BENCHES, "load", lambda name: SimpleNamespace(rows=rows))


def test_the_json_of_a_bench_holds_exactly_what_others_read(
    made_bench: None, call: Call, tmp_path: Path
) -> None:
    done = call("bench", "made", "--json", tmp_path / "out.json")
    assert done.exit_code == 0, done.stderr
    assert json.loads((tmp_path / "out.json").read_text()) == {
        "bench": "made",
        "rows": [
            {
                "case": "forward",
                "ours": 2.0,
                "other": 5.0,
                "other_name": "eager",
                "unit": "ms",
                "ratio": 2.5,
            },
            {
                "case": "batches",
                "ours": 100.0,
                "other": 200.0,
                "other_name": "peer",
                "unit": "1/s",
                "ratio": 0.5,
            },
        ],
    }
    assert "2.50" in done.stdout


def test_a_json_that_cannot_be_written_is_an_error_in_one_line(
    made_bench: None, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    done = call("bench", "made", "--json", tmp_path / "file" / "out.json")
    assert done.exit_code == 1
    assert "must be a writable file" in done.stderr
