"""The scripts in examples/ run and say what they promise."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_first_network_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    accuracy = runpy.run_path(str(EXAMPLES / "first_network.py"))["main"](epochs=1)
    assert accuracy > 0.4  # a guess is right in a third
    assert "1_cubalif" in capsys.readouterr().out


def test_the_single_neuron_follows_its_closed_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert runpy.run_path(str(EXAMPLES / "single_neuron.py"))["main"]() < 1.5
    assert len(capsys.readouterr().out.splitlines()) == 16
