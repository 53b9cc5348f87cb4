"""Programs in files: whole, or refused with the fault named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from compiler.programs import ALL, ready
from spikewright.compiler.files.store import load_discrete, save_discrete
from spikewright.compiler.files.text import program_tensors, to_text
from spikewright.compiler.passes.discretise import discretise
from spikewright.errors import ProgramError
from spikewright.sealed import seal


def test_a_saved_program_is_loaded_as_it_was(tmp_path: Path) -> None:
    program = discretise(ready(ALL["branches"]))
    save_discrete(program, tmp_path)
    again = load_discrete(tmp_path)
    assert to_text(again) == to_text(program)
    for name, tensor in program_tensors(program).items():
        assert torch.equal(program_tensors(again)[name], tensor)


def test_a_save_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    save_discrete(discretise(ready(ALL["cuba"])), tmp_path)
    other = discretise(ready(ALL["skip"]))
    save_discrete(other, tmp_path)
    assert to_text(load_discrete(tmp_path)) == to_text(other)
    assert len(list(tmp_path.iterdir())) == 2


def test_every_damaged_byte_is_found(tmp_path: Path) -> None:
    save_discrete(discretise(ready(ALL["cuba"])), tmp_path)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 40)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(ProgramError, match="must hold a whole program, got a fault"):
                load_discrete(tmp_path)
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ProgramError, match="must hold a whole program, got a fault"):
            load_discrete(tmp_path)
        path.write_bytes(whole)
    assert load_discrete(tmp_path).output == "3_cubali"


def test_hostile_text_with_right_checksums_is_refused(tmp_path: Path) -> None:
    save_discrete(discretise(ready(ALL["cuba"])), tmp_path)
    head = tmp_path / "discrete.json"
    body = json.loads(head.read_bytes())["body"]
    lines = [line.replace(" = add ", " = system ") for line in body["program"]]
    head.write_bytes(seal(body | {"program": lines}))
    with pytest.raises(ProgramError, match="must be a known one, got 'system'"):
        load_discrete(tmp_path)
    head.write_bytes(seal(body | {"program": None}))
    with pytest.raises(ProgramError, match="got a fault"):
        load_discrete(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="missing"):
        load_discrete(tmp_path / "nowhere")
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ProgramError, match="must be writable"):
        save_discrete(discretise(ready(ALL["loose ends"])), blocked)
