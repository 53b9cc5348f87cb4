"""`spikewright explore`, and the synthesis that `compile` asks for."""

from __future__ import annotations

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
from spikewright.recipes.core.report import make_report
from spikewright.recipes.core.run import run
from spikewright.settings import Source
from spikewright.targets.fpga.emit import read_program
from spikewright.targets.fpga.interpreter import interpret
from spikewright.targets.fpga.saved import load_network
from spikewright.targets.fpga.synthesis.tools import YOSYS
from targets.fpga.needs import needs

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def finished(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    found: Any = recipe("lenet-fpga")
    values = {"images": 300, "validation": 60, "epochs": 1, "fine_epochs": 1, "calibrated": 60}
    settings = found.settings(sources=[Source("test", values)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIKEWRIGHT_DATA", str(shared_data))
        outcome = run(found, settings, folder, progress=False)
        make_report(outcome).save(folder / "report.html")
    return folder


@pytest.fixture
def explored(
    finished: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> Callable[..., Any]:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(shared_data))
    return lambda *words: call("explore", finished, *words)


@pytest.mark.slow
def test_the_best_design_of_a_run_is_written_with_a_report(
    explored: Callable[..., Any], tmp_path: Path
) -> None:
    done = explored("--steps", "2,3", "--weight-bits", "3", "-o", tmp_path)
    assert done.exit_code == 0, done.stderr
    network = load_network(tmp_path / "network")
    program = read_program(tmp_path / "accelerator")
    q = np.random.default_rng(0).integers(0, 2**network.bits, (2, *network.shape))
    wanted = network.run(torch.from_numpy(q)).numpy()
    found = interpret(program, q)
    assert np.array_equal(found.results, wanted)
    assert f"{found.cycles:,}" in done.stdout
    assert "T = 2, weights of 3 bits" in done.stderr
    assert "Accuracy over latency" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "report.html").read_text().count("T = 3, 3 bit weights") > 10


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--board", "zynq"), "board must be one of zynq-7010"),
        (("--steps", "2,9"), "steps must be whole numbers from 1 to 8"),
        (("--weight-bits", "many"), "weight-bits must be whole numbers"),
    ],
)
@pytest.mark.slow
def test_wrong_words_are_refused(
    explored: Callable[..., Any], tmp_path: Path, words: tuple[str, ...], fault: str
) -> None:
    done = explored(*words, "-o", tmp_path)
    assert done.exit_code == 2
    assert fault in done.stderr


@pytest.mark.slow
@needs(YOSYS)
def test_compile_runs_the_tools_where_asked_to(call: Call, tmp_path: Path) -> None:
    torch.manual_seed(5)
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    program = sw.compile(module, "fpga", calibration=torch.rand(10, 4), hardware={"linear": 2})
    assert isinstance(program, ModuleProgram)
    program.save(tmp_path / "program")
    done = call("compile", tmp_path / "program", "-o", tmp_path / "out", "--synthesise", "xc7")
    assert done.exit_code == 0, done.stderr
    assert "LUT" in done.stdout
    assert "7-series" in done.stdout
    assert (tmp_path / "out" / "synthesis").is_dir()
    refused = call("compile", tmp_path / "program", "--synthesise", "asic")
    assert "synthesise must be xc7 or ecp5, got 'asic'" in refused.stderr


def test_a_folder_without_a_run_is_named_with_the_way_out(tmp_path: Path, call: Call) -> None:
    done = call("explore", tmp_path)
    assert done.exit_code
    assert "must be the folder of a run (settings.toml)" in done.stderr
    (tmp_path / "program.json").write_text("{}")
    assert "A program is rounded already" in call("explore", tmp_path).stderr
