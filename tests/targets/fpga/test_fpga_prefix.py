"""Designs whose modules and memory images have a prefix."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from spikewright.errors import ParameterError, ProgramError
from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.emit import emit, read_program
from spikewright.targets.fpga.lif.emit import emit as emit_core
from spikewright.targets.fpga.lif.lanes import Lanes
from spikewright.targets.fpga.program import Program
from spikewright.targets.fpga.run_tool import ask_tool
from spikewright.targets.fpga.synthesis.ecp5 import without_idle_streams
from spikewright.targets.fpga.synthesis.flow import read_sources, top_of
from targets.fpga.lif_networks import CASES
from targets.fpga.needs import needs
from targets.fpga.rtl_networks import drawn

PREFIX = "tiny_"
PORT = re.compile(r"^ *(?:input|output) .*?(\w+),?$", re.MULTILINE)


@pytest.fixture(scope="module")
def program() -> Program:
    return assemble(drawn(100)[0], Hardware(units=2))


def designs(program: Program, place: Path, prefix: str) -> dict[str, Path]:
    network, lanes = CASES["chain"][0](), Lanes(CASES["chain"][1])
    return {
        "accelerator": emit(program, place / f"{prefix}accelerator", {"cycles": 3}, prefix),
        "lif_core": emit_core(network, place / f"{prefix}core", lanes, {"cycles": 3}, prefix),
    }


@pytest.mark.parametrize("top", ["accelerator", "lif_core"])
def test_all_shared_names_have_it_and_nothing_else(
    program: Program, tmp_path: Path, top: str
) -> None:
    plain, named = (designs(program, tmp_path, prefix)[top] for prefix in ("", PREFIX))
    for path in plain.glob("**/*.*"):
        shared = path.suffix in (".sv", ".mem")
        other = named / path.relative_to(plain).with_name(PREFIX * shared + path.name)
        if path.name != "layers.json":
            assert other.read_text().replace(PREFIX, "") == path.read_text()
    assert len(list(plain.glob("**/*"))) == len(list(named.glob("**/*")))
    ports = [PORT.findall((place / "rtl" / f"{top_of(place)}.sv").read_text())
             for place in (plain, named)]  # fmt: skip
    assert ports[0] == ports[1]
    assert len(ports[0]) > 10
    texts = [path.read_text() for path in named.glob("rtl/*.sv")]
    declared = re.findall(r"^(?:module|package) (\w+)", "\n".join(texts), re.MULTILINE)
    assert sorted(declared) == sorted(path.stem for path in named.glob("rtl/*.sv"))
    assert all(name.startswith(PREFIX) for name in declared)
    wanted = set(re.findall(r'"(\w+\.mem)"', "\n".join(texts)))
    assert wanted == {path.name for path in named.glob("*.mem")}


def test_it_is_read_back_and_damage_is_named(program: Program, tmp_path: Path) -> None:
    found = read_program(emit(program, tmp_path, prefix=PREFIX))
    for field in dataclasses.fields(Program):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(program, field.name))
    image = tmp_path / "tiny_kernels.mem"
    image.write_text(image.read_text() + "0\n")
    with pytest.raises(ProgramError, match=r"got tiny_kernels\.mem of \d+ bytes where"):
        read_program(tmp_path)


@pytest.mark.parametrize("wrong", ["9_", "a-b", "a b", "é_", "../"])
def test_what_begins_no_name_is_refused_before_anything_is_written(
    program: Program, tmp_path: Path, wrong: str
) -> None:
    with pytest.raises(ParameterError, match="prefix must begin the name of a module, got"):
        emit(program, tmp_path / "design", prefix=wrong)
    assert not (tmp_path / "design").exists()


def test_tools_find_the_top_module(program: Program, tmp_path: Path) -> None:
    made = designs(program, tmp_path, PREFIX)
    assert {name: top_of(place) for name, place in made.items()} == {
        "accelerator": "tiny_accelerator",
        "lif_core": "tiny_lif_core",
    }
    commands = without_idle_streams(made["accelerator"])
    assert commands
    assert all(each.startswith("delete -port tiny_accelerator/w:") for each in commands)
    assert without_idle_streams(made["lif_core"]) == []
    emit(program, made["accelerator"])
    with pytest.raises(ProgramError, match="must hold one design, got accelerator, tiny_accel"):
        top_of(made["accelerator"])


@pytest.mark.slow
@pytest.mark.parametrize("top", [pytest.param(top, marks=needs("yosys"))
                                 for top in ("accelerator", "lif_core")])  # fmt: skip
def test_yosys_finds_every_module_and_image(program: Program, tmp_path: Path, top: str) -> None:
    place = designs(program, tmp_path, PREFIX)[top]
    script = [*read_sources(place), f"hierarchy -check -top {PREFIX}{top}", "proc", "check -assert"]
    ask_tool(["yosys", "-q", "-p", "; ".join(script)], place)
