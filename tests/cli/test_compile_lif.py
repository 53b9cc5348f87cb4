"""`spikewright compile` of a saved program of a spiking network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import spikewright as sw
from spikewright.compiler.network_program import NetworkProgram
from spikewright.targets.fpga.lif.emit import images, made, sources
from spikewright.targets.fpga.lif.lanes import Lanes
from targets.fpga.lif_networks import filled, spikes

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def program() -> NetworkProgram:
    recurrent = sw.Recurrent(sw.LIF(tau_mem=9e-3, r=5.0))
    net = filled(sw.Sequential(sw.Linear(6, 7), recurrent, sw.Linear(7, 2), sw.LI(), dt=1e-3))
    x = torch.from_numpy(spikes(20, 2, 6, 0.3)).float()
    found = sw.compile(net, "fpga-lif", calibration=x, lanes={"lanes": [3, 2], "queue": 8})
    assert isinstance(found, NetworkProgram)
    return found


def files(folder: Path) -> dict[str, str]:
    found = [*folder.glob("*.mem"), *folder.glob("rtl/*.sv")]
    return {path.name: path.read_text() for path in found}


def test_a_saved_program_becomes_files(program: NetworkProgram, call: Call, tmp_path: Path) -> None:
    program.save(tmp_path / "program")
    done = call("compile", tmp_path / "program", "--clock", 5e7)
    assert done.exit_code == 0, done.stderr
    folder = tmp_path / "program" / "accelerator"
    artefact: Any = program.artefact
    chosen = Lanes((3, 2), 8)
    texts = made(artefact.network, chosen) | images(artefact.network, chosen)
    texts |= {path.name: path.read_text() for path in sources()}
    assert files(folder) == texts
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["lanes"], summary["clock_hz"]) == ([3, 2], 5e7)
    assert summary["most_clocks"] == artefact.most_clocks
    for words in (
        "6 lines to 2 neurons", "3 lanes; weights 8 bits", f"{artefact.most_clocks} a step",
        "at 50 MHz", f"{artefact.memory['weights']:,} bits",
    ):  # fmt: skip
        assert words in done.stdout
    assert torch.equal(
        sw.Program.load(tmp_path / "program").run(torch.ones(3, 1, 6)),
        program.run(torch.ones(3, 1, 6)),
    )


def test_lanes_are_those_that_are_asked_for(
    program: NetworkProgram, call: Call, tmp_path: Path
) -> None:
    program.save(tmp_path / "program")
    where = ("compile", tmp_path / "program", "-o", tmp_path / "out")
    done = call(*where, "--lanes", 1, "--target", "fpga-lif")
    assert done.exit_code == 0, done.stderr
    assert "m_axis_row" not in files(tmp_path / "out")["lif_core.sv"]
    artefact: Any = program.artefact
    expected = images(artefact.network, Lanes(1, 8))
    assert {name: files(tmp_path / "out")[name] for name in expected} == expected
    done = call(*where, "--stream-weights")
    assert done.exit_code == 0, done.stderr
    assert "m_axis_row_1_tvalid" in files(tmp_path / "out")["lif_core.sv"]
    assert "none on the chip" in done.stdout
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["lanes"] == [3, 2]
    for given, words in (
        (("--units", 3, "--keep-kernels"), "stream-weights and clock, got units, stream-kernels"),
        (("--lanes", 0), "lanes must be at least 1, got 0"),
        (("--target", "fpga"), "must be that of"),
    ):
        done = call(*where, *given)
        assert done.exit_code != 0
        assert words in done.stderr
