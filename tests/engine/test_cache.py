"""Compiled kernels on disk survive company, damage, a missing folder and a fork."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from cases import threads
from spikewright.engine import cache
from spikewright.engine import threads as engine_threads
from spikewright.files import CACHE_VARIABLE
from spikewright.neurons import LIF

SCRIPT = Path(__file__).with_name("cached_run.py")
SOURCE = """
import numba
import numpy as np

@numba.njit("void(f8[::1])", nogil=True, cache=True)
def double(values):
    for i in range(len(values)):
        values[i] = 2 * values[i] + {offset}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of this test's own, given back afterwards."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    cache.cache_folder.cache_clear()
    yield cache.cache_folder()
    cache.cache_folder.cache_clear()


def result(offset: int = 1) -> list[float]:
    values = np.arange(3.0)
    cache.load_kernel(SOURCE.format(offset=offset), "double")(values)
    return values.tolist()


def entry(folder: Path) -> Path:
    (found,) = (path for path in folder.iterdir() if path.is_dir())
    return found


def files(folder: Path, suffix: str) -> list[Path]:
    return sorted(p for p in entry(folder).rglob("*") if p.name.endswith(suffix))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 3, len(content), max(1, len(content) // 7)):
        content[place] ^= 0xFF
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


def other_text(path: Path) -> None:
    path.write_text("[1, 2]" if path.suffix == ".json" else "def double(values): values[:] = 7\n")


def test_kernel_comes_from_the_disk_and_other_source_is_another_kernel(folder: Path) -> None:
    assert not cache.is_cached(SOURCE.format(offset=1), "double")
    assert result(1) == [1, 3, 5]
    assert cache.is_cached(SOURCE.format(offset=1), "double")
    made = {path: path.stat().st_mtime_ns for path in files(folder, ".nbc")}
    assert made
    assert result(1) == [1, 3, 5]
    assert {path: path.stat().st_mtime_ns for path in files(folder, ".nbc")} == made
    assert result(2) == [2, 4, 6]


@pytest.mark.parametrize("damage", [flip, truncate, empty, remove, other_text])
@pytest.mark.parametrize("suffix", [".nbc", ".nbi", ".py", "manifest.json"])
def test_damaged_entry_is_made_again(
    folder: Path, damage: Callable[[Path], None], suffix: str
) -> None:
    result()
    assert files(folder, suffix)
    for path in files(folder, suffix):
        damage(path)
    assert result() == [1, 3, 5]
    manifest = files(folder, "manifest.json")[0].read_bytes()
    assert result() == [1, 3, 5]
    assert files(folder, "manifest.json")[0].read_bytes() == manifest


@pytest.mark.parametrize("damage", [flip, truncate, empty, remove, other_text])
def test_damaged_plan_is_as_good_as_none(folder: Path, damage: Callable[[Path], None]) -> None:
    plan = {"sources": {"forward": "x"}, "outputs": [[2]], "single": True, "planes": 1}
    cache.write_plan("key", plan)
    assert cache.read_plan("key") == plan
    damage(folder / "key.json")
    assert cache.read_plan("key") is None
    cache.write_plan("key", plan)
    assert cache.read_plan("key") == plan


def test_processes_that_start_together_compile_once_and_survive_damage_to_all_files(
    tmp_path: Path,
) -> None:
    environment = os.environ | {CACHE_VARIABLE: str(tmp_path / "cache")}
    barrier = tmp_path / "go"

    def start(number: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), str(barrier), str(number)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def answers(running: list[subprocess.Popen[str]]) -> set[str]:
        outputs = [process.communicate(timeout=300) for process in running]
        assert [process.returncode for process in running] == [0] * len(running), outputs
        return {out for out, _ in outputs}

    running = [start(number) for number in range(3)]
    while len(list(tmp_path.glob("go.*"))) < 3:
        assert all(process.poll() is None for process in running)
        time.sleep(0.01)
    barrier.touch()
    first = answers(running)
    assert len(first) == 1
    for name in ("manifest.json", "*.nbi"):
        assert len(list(tmp_path.rglob(name))) == 2, name
    damaged = [p for p in tmp_path.rglob("*") if p.suffix in (".nbc", ".nbi", ".json", ".py")]
    assert len(damaged) > 6
    for path in damaged:
        flip(path)
    assert answers([start(3)]) == first


@pytest.mark.parametrize("obstacle", ["a file in its place", "a file in the place of the entry"])
def test_cache_that_cannot_be_written_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    place = tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(place))
    cache.cache_folder.cache_clear()
    if obstacle == "a file in its place":
        place.write_text("occupied")
        spare = cache.cache_folder()
        assert not spare.is_relative_to(tmp_path)
    else:
        digest = hashlib.sha256(SOURCE.format(offset=1).encode()).hexdigest()[:24]
        (cache.cache_folder() / f"double_{digest}").write_text("occupied")
        spare = cache.cache_folder()
    assert result() == [1, 3, 5]
    cache.write_plan("key", {"a": 1})
    shutil.rmtree(spare, ignore_errors=True)
    assert result() == [1, 3, 5]
    cache.write_plan("key", {"a": 1})
    cache.cache_folder.cache_clear()


def layer_result() -> float:
    """Spikes of a layer; its large sums are NumPy's, for torch's own threads do not bear a fork."""
    layer = LIF(backend="cpu")
    layer.build((700,), 1e-3)
    x = 4 * np.random.default_rng(0).random((20, 3, 700), np.float32)
    with torch.no_grad():
        return float(layer(torch.from_numpy(x))[0].numpy().sum())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_forked_child_computes_with_threads_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_threads, "WORTH_A_THREAD", 1)
    with threads(3):
        expected = layer_result()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if layer_result() == expected else 2
            finally:
                os._exit(code)
        deadline = time.monotonic() + 60
        status = None
        while status is None and time.monotonic() < deadline:
            done, code = os.waitpid(child, os.WNOHANG)
            status = code if done else None
            time.sleep(0.02)
        if status is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child did not end within a minute")
        assert os.waitstatus_to_exitcode(status) == 0
        assert layer_result() == expected
        assert engine_threads._size >= 2  # an earlier test may have had more


class Computed(torch.utils.data.Dataset[float]):
    """A data set whose items come out of a compiled kernel."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> float:
        return layer_result() + index


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_of_a_data_loader_run_kernels_after_their_parent_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_threads, "WORTH_A_THREAD", 1)
    with threads(2):
        expected = layer_result()
        loader = torch.utils.data.DataLoader(
            Computed(), num_workers=2, batch_size=None, timeout=60, multiprocessing_context="fork"
        )
        assert [float(item) for item in loader] == [expected + n for n in range(4)]
        assert layer_result() == expected
