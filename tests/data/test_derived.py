"""Results kept on disk are never trusted, and never wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from spikewright.data.derived import derived


class Maker:
    """Counts how often it has to work."""

    def __init__(self, value: int = 7) -> None:
        self.calls, self.value = 0, value

    def __call__(self) -> dict[str, torch.Tensor]:
        self.calls += 1
        return {"x": torch.full((3,), self.value, dtype=torch.int16)}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPIKEWRIGHT_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept" / "derived"


def tensor_file(root: Path) -> Path:
    (file,) = root.glob("*/*.safetensors")
    return file


def test_a_result_is_worked_out_once_for_each_key() -> None:
    make = Maker()
    for _ in range(2):
        assert derived("a", {"seed": 1}, make)["x"].tolist() == [7, 7, 7]
    assert make.calls == 1
    derived("a", {"seed": 2}, make)
    derived("b", {"seed": 1}, make)
    assert make.calls == 3


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_damaged_result_is_made_again(root: Path, keep: float) -> None:
    derived("a", {"seed": 1}, Maker(3))
    file = tensor_file(root)
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content))])
    make = Maker()
    assert derived("a", {"seed": 1}, make)["x"].tolist() == [7, 7, 7]
    assert derived("a", {"seed": 1}, make)["x"].tolist() == [7, 7, 7]
    assert make.calls == 1


def test_a_changed_byte_is_noticed(root: Path) -> None:
    derived("a", {}, Maker(3))
    content = bytearray(tensor_file(root).read_bytes())
    content[-1] ^= 1
    tensor_file(root).write_bytes(content)
    assert derived("a", {}, Maker())["x"].tolist() == [7, 7, 7]


def test_a_head_that_is_missing_or_of_another_key_is_not_believed(root: Path) -> None:
    derived("a", {"seed": 1}, Maker(3))
    derived("a", {"seed": 2}, Maker(4))
    first, second = sorted(root.glob("a-*/result.json"))
    os.replace(second, first)
    values = {int(derived("a", {"seed": seed}, Maker())["x"][0]) for seed in (1, 2)}
    assert values == {7}


def test_a_folder_that_cannot_be_made_costs_only_the_work(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPIKEWRIGHT_CACHE", str(tmp_path / "file"))
    make = Maker()
    for _ in range(2):
        assert derived("a", {}, make)["x"].tolist() == [7, 7, 7]
    assert make.calls == 2
