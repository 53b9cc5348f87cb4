"""`spikewright compile`: files of an accelerator from a network, a program or a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.compiler.modules.program import ModuleProgram
from spikewright.recipes import recipe
from spikewright.recipes.core.run import run
from spikewright.settings import Source
from spikewright.targets.fpga.artefact import OnFPGA
from spikewright.targets.fpga.emit import read_program, sources
from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.interpreter import interpret
from spikewright.targets.fpga.saved import save_network

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def made() -> tuple[ModuleProgram, OnFPGA, torch.Tensor]:
    torch.manual_seed(5)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    )
    x = torch.rand(10, 1, 8, 8)
    program = sw.compile(module, "fpga", calibration=x, hardware={"units": 3}, clock=80e6)
    assert isinstance(program, ModuleProgram)
    assert isinstance(program.artefact, OnFPGA)
    return program, program.artefact, x


Made = tuple[ModuleProgram, OnFPGA, torch.Tensor]


def answers(folder: Path, artefact: OnFPGA, x: torch.Tensor) -> Any:
    """What the emitted files alone answer, and their clocks."""
    return interpret(read_program(folder), encode(artefact.network, x).numpy())


def test_a_network_in_whole_numbers_becomes_files(made: Made, call: Call, tmp_path: Path) -> None:
    _, artefact, x = made
    save_network(artefact.network, tmp_path / "net")
    done = call("compile", tmp_path / "net", "--units", 2, "--stream-kernels", "--clock", 2e8)
    assert done.exit_code == 0, done.stderr
    folder = tmp_path / "net" / "accelerator"
    assert {path.name for path in folder.glob("rtl/*.sv")} == {
        *(path.name for path in sources()),
        "network_pkg.sv",
    }
    found = answers(folder, artefact, x)
    np.testing.assert_array_equal(found.results, artefact.sums(x).numpy())
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["cycles"] == found.cycles
    assert summary["seconds"] == found.cycles / 2e8
    assert summary["hardware"]["units"] == 2
    assert summary["memory_bits"]["kernels"] == 0
    assert summary["inputs"] == [1, 8, 8]
    assert summary["outputs"] == [3]
    for words in (f"{found.cycles:,} an input", "1×8×8 to 3, 4 steps", "at 200 MHz", "none on"):
        assert words in done.stdout


def test_a_saved_program_keeps_its_hardware_but_for_what_is_asked(
    made: Made, call: Call, tmp_path: Path
) -> None:
    program, artefact, x = made
    program.save(tmp_path / "program")
    done = call("compile", tmp_path / "program", "-o", tmp_path / "same")
    assert done.exit_code == 0, done.stderr
    assert answers(tmp_path / "same", artefact, x).cycles == artefact.cycles
    summary = json.loads((tmp_path / "same" / "summary.json").read_text())
    assert (summary["hardware"]["units"], summary["clock_hz"]) == (3, 80e6)
    done = call("compile", tmp_path / "program", "-o", tmp_path / "other", "--linear", 1)
    assert done.exit_code == 0, done.stderr
    other = answers(tmp_path / "other", artefact, x)
    assert other.cycles > artefact.cycles
    np.testing.assert_array_equal(other.results, artefact.sums(x).numpy())
    again = sw.Program.load(tmp_path / "program")
    assert torch.equal(again.run(x), program.run(x))


def test_a_run_of_a_recipe_is_rounded_fine_tuned_and_compiled(
    call: Call, shared_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(shared_data))
    found: Any = recipe("lenet-fpga")
    values = {"images": 300, "validation": 50, "epochs": 1, "fine_epochs": 1, "calibrated": 60}
    settings = found.settings(sources=[Source("test", {**values, "linear": 10})])
    run(found, settings, tmp_path / "run", progress=False)
    done = call("compile", tmp_path / "run", "-o", tmp_path / "out", "--units", 3)
    assert done.exit_code == 0, done.stderr
    program = sw.Program.load(tmp_path / "out" / "program")
    assert isinstance(program, ModuleProgram)
    assert isinstance(program.artefact, OnFPGA)
    assert (program.artefact.hardware.units, program.artefact.hardware.linear) == (3, 10)
    assert program.agreement.samples == 60
    # The same weights, rounded and fine-tuned once more, are the same numbers.
    made, x = found.quantised(settings, tmp_path / "run")
    assert torch.equal(program.artefact.sums(x), made.network.run(encode(made.network, x)))
    assert answers(tmp_path / "out", program.artefact, x[:1]).cycles == program.artefact.cycles
    assert (tmp_path / "out" / "report.html").exists()


def test_what_is_no_such_folder_is_an_error_in_one_line(call: Call, tmp_path: Path) -> None:
    done = call("compile", tmp_path / "nothing")
    assert done.exit_code == 1
    assert "must be the folder of a run (settings.toml)" in done.stderr
    assert not (tmp_path / "nothing").exists()


def test_a_prefix_is_written_and_a_wrong_one_refused_at_once(
    made: Made, call: Call, tmp_path: Path
) -> None:
    save_network(made[1].network, tmp_path / "net")
    done = call("compile", tmp_path / "net", "--prefix", "lenet_")
    assert done.exit_code == 0, done.stderr
    folder = tmp_path / "net" / "accelerator"
    assert (folder / "rtl" / "lenet_accelerator.sv").exists()
    _, artefact, x = made
    np.testing.assert_array_equal(answers(folder, artefact, x).results, artefact.sums(x).numpy())
    done = call("compile", tmp_path / "nowhere", "--prefix", "le-net")
    assert done.exit_code == 2
    assert "prefix must begin the name of a module, got 'le-net'" in done.stderr


def test_a_damaged_network_is_named(made: Made, call: Call, tmp_path: Path) -> None:
    save_network(made[1].network, tmp_path)
    head = tmp_path / "integer.json"
    head.write_bytes(head.read_bytes()[:-40])
    done = call("compile", tmp_path)
    assert done.exit_code == 1
    assert "must hold a whole network, got a fault" in done.stderr


def test_another_program_recipe_or_target_is_refused(call: Call, tmp_path: Path) -> None:
    net = sw.Sequential(sw.Linear(5, 3), sw.LI(), dt=1e-3)
    sw.compile(net, "simulator", calibration=torch.rand(9, 2, 5)).save(tmp_path / "program")
    done = call("compile", tmp_path / "program")
    assert "must be one for the fpga, got another" in done.stderr
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.toml").write_text('recipe = "yin-yang"\n')
    done = call("compile", tmp_path / "run")
    assert "must be of a recipe for the fpga, got 'yin-yang'" in done.stderr
    done = call("compile", tmp_path / "run", "--target", "xylo-imu")
    assert done.exit_code == 1
    assert "target must be fpga or fpga-lif, got 'xylo-imu'" in done.stderr


def test_a_size_out_of_range_and_a_place_that_is_a_file_are_refused(
    made: Made, call: Call, tmp_path: Path
) -> None:
    save_network(made[1].network, tmp_path / "net")
    done = call("compile", tmp_path / "net", "--units", 0)
    assert done.exit_code == 2
    assert "units must be at least 1 and whole, got 0" in done.stderr
    (tmp_path / "file").write_text("")
    done = call("compile", tmp_path / "net", "-o", tmp_path / "file")
    assert done.exit_code == 1
    assert "must be writable" in done.stderr
