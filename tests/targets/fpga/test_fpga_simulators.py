"""Simulators in the cache: by accelerator, tool and machine; killed builds leave nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from spikewright.errors import ProgramError
from spikewright.targets.fpga import verilator
from spikewright.targets.fpga.dimensions import Dimensions


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Tools that build an empty simulator; what they answer can be changed."""
    answers = {
        "verilator": "Verilator 5",
        "g++": "g++ 12",
        "builds": 0,
        "fails": False,
        "library": 0,
    }

    def run_tool(command, folder, log):
        answers["builds"] += 1
        if answers["fails"]:
            raise ProgramError("it failed")
        (Path(folder) / "Vaccelerator").write_text("")
        library = Path(folder) / "verilated.o"
        kept = "--old-file=verilated.o" in command
        assert kept == library.exists()
        answers["library"] += not kept
        library.write_text("of " + answers["g++"])

    monkeypatch.setenv("SPIKEWRIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr(verilator, "run_tool", run_tool)
    monkeypatch.setattr(verilator, "ask_tool", lambda command, folder: answers[command[0]])
    monkeypatch.setattr(verilator, "available", lambda: True)
    verilator._versions.cache_clear()
    yield answers
    verilator._versions.cache_clear()


def left(folder):
    return [path.name for path in folder.glob(f"rtl/*{verilator.BUILDING}")]


def test_a_simulator_is_built_once(tools, tmp_path):
    first = verilator.build(Dimensions())
    assert verilator.build(Dimensions()) == first
    assert first.exists()
    assert verilator.build(Dimensions(word=3)) != first
    assert tools["builds"] == 2
    assert left(tmp_path) == []


@pytest.mark.parametrize("tool", ["verilator", "g++"])
def test_another_version_of_a_tool_builds_anew(tools, tool):
    first = verilator.build(Dimensions())
    tools[tool] = "newer"
    verilator._versions.cache_clear()
    assert verilator.build(Dimensions()) != first


def test_other_flags_and_another_machine_build_anew(tools, monkeypatch):
    found = {verilator.build(Dimensions())}
    with monkeypatch.context() as patch:
        patch.setattr(verilator, "FLAGS", (*verilator.FLAGS, "--trace"))
        found.add(verilator.build(Dimensions()))
    monkeypatch.setattr(verilator.platform, "machine", lambda: "riscv64")
    found.add(verilator.build(Dimensions()))
    assert len(found) == 3


def test_a_build_that_fails_leaves_nothing(tools, tmp_path):
    tools["fails"] = True
    with pytest.raises(ProgramError):
        verilator.build(Dimensions())
    assert left(tmp_path) == []
    tools["fails"] = False
    assert verilator.build(Dimensions()).exists()


def test_what_killed_builds_left_is_removed_by_the_next(tools, tmp_path):
    simulator = verilator.build(Dimensions())
    simulator.unlink()
    kept = simulator.parent
    for name in (kept.name, "another", "running"):
        (tmp_path / "rtl" / f"{name}{verilator.BUILDING}").mkdir()
    with FileLock(tmp_path / "rtl" / "running.lock"):  # somebody builds it at this moment
        verilator.build(Dimensions())
    assert left(tmp_path) == [f"running{verilator.BUILDING}"]
    assert simulator.exists()


def test_the_library_is_compiled_once_for_all_simulators_of_the_same_tools(tools):
    for word in (2, 3, 4):
        verilator.build(Dimensions(word=word))
    assert (tools["builds"], tools["library"]) == (3, 1)
    tools["g++"] = "newer"
    verilator._versions.cache_clear()
    for word in (2, 3):
        verilator.build(Dimensions(word=word))
    assert (tools["builds"], tools["library"]) == (5, 2)
