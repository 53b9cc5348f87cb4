"""Compiled programs in files: the same after loading, and damaged or made-up files refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import spikewright as sw
from compiler.compiled import compiled, net, sample
from spikewright import files
from spikewright.compiler.program import Program
from spikewright.errors import ParameterError, ProgramError
from spikewright.sealed import seal


@pytest.fixture(scope="module")
def program() -> Program:
    return compiled(weights=6)


def test_a_loaded_program_runs_alike_and_says_the_same(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "p")
    again = sw.Program.load(tmp_path / "p")
    assert torch.equal(again.run(sample(7)), program.run(sample(7)))
    assert str(again) == str(program)
    assert again.kind == program.kind
    assert again.target == program.target
    changed = net(seed=4)
    assert torch.equal(
        again.observe(changed, sample())["out"].output,
        program.observe(changed, sample())["out"].output,
    )


def test_a_save_that_fails_leaves_the_program_from_before(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.save(tmp_path)
    before = sw.Program.load(tmp_path).run(sample())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_write", full)
    with pytest.raises(ProgramError, match=r"No space left.*program from before is intact"):
        compiled(net(seed=3)).save(tmp_path)
    assert torch.equal(sw.Program.load(tmp_path).run(sample()), before)


def test_saving_again_replaces_the_program_and_leaves_no_rest(tmp_path: Path) -> None:
    compiled(net(seed=3)).save(tmp_path)
    made = compiled(net(seed=5))
    made.save(tmp_path)
    assert torch.equal(sw.Program.load(tmp_path).run(sample()), made.run(sample()))
    assert len(list(tmp_path.iterdir())) == 2


def damage(folder: Path) -> Iterator[tuple[str, Any]]:
    head = folder / "program.json"
    [tensors] = folder.glob("*.safetensors")
    yield "is missing", head.unlink
    yield "is missing", tensors.unlink
    yield "not the JSON", lambda: head.write_bytes(head.read_bytes()[:100])
    yield "checksum", lambda: head.write_text(head.read_text().replace("product", "produkt", 1))
    yield "bytes", lambda: tensors.write_bytes(tensors.read_bytes()[:-4])
    yield "checksum", lambda: tensors.write_bytes(tensors.read_bytes()[:-4] + b"\1\2\3\4")


@pytest.mark.parametrize("which", range(6))
def test_a_damaged_file_is_refused_with_its_fault(
    program: Program, tmp_path: Path, which: int
) -> None:
    program.save(tmp_path)
    message, break_it = list(damage(tmp_path))[which]
    break_it()
    with pytest.raises(ProgramError, match=f"must hold a whole program.*{message}"):
        sw.Program.load(tmp_path)


def remove(*path: str) -> Any:
    def change(body: dict[str, Any]) -> None:
        *where, last = path
        for key in where:
            body = body[key]
        del body[last]

    return change


def put(value: Any, *path: str | int) -> Any:
    def change(body: dict[str, Any]) -> None:
        *where, last = path
        for key in where:
            body = body[key]
        body[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        remove("design"), remove("agreement"), remove("target"), remove("design", "program"),
        put("nothing", "target", "name"), put({"weigths": 3}, "target", "options"),
        put({"weights": "x"}, "target", "options"), put(3, "design", "program"),
        put("spikewright program 1\n", "design", "program"), put([{}], "design", "pieces"),
        put([{"piece": {}, "core": 0, "units": "x"}], "design", "places"), put("a", "seed"),
        put({"samples": 1}, "agreement"), put([], "cost"), put({}, "cost", "table"),
        put(None, "source"), put("x", "agreement", "samples"), put(None, "cost", "seconds"),
        put([], "agreement", "layers", 0, "layer"),
    ],
)  # fmt: skip
def test_a_made_up_file_is_refused(program: Program, tmp_path: Path, change: Any) -> None:
    program.save(tmp_path)
    head = tmp_path / "program.json"
    body = json.loads(head.read_text())["body"]
    change(body)
    head.write_bytes(seal(body))
    with pytest.raises(ProgramError, match="must hold a whole program, got a fault"):
        sw.Program.load(tmp_path)


def test_a_simulator_of_impossible_options_is_refused() -> None:
    for options in ({"weights": 1}, {"neurons": -1}, {"per": "row"}, {"energy_by": "loihy"}):
        with pytest.raises(ParameterError, match=f"{next(iter(options))} must be"):
            compiled(**options)


def test_a_program_is_not_loaded_onto_another_target(program: Program, tmp_path: Path) -> None:
    class Other(sw.targets.Simulator):
        name = "other"

    program.save(tmp_path)
    with pytest.raises(ProgramError, match="for the target 'simulator', not for 'other'"):
        sw.Program.load(tmp_path, target=Other())
