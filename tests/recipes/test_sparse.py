"""The recipes of sparse spiking gradient descent: the sheet's parts, and what they measure."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spikewright.recipes import recipe
from spikewright.recipes.core.run import build
from spikewright.recipes.core.sparse import LESS_MEMORY, lost_at
from spikewright.settings import Source

TINY = {"samples": 40, "validation": 20, "hidden": 20, "epochs": 1, "sweep_epochs": 1, "steps": 20}


@pytest.fixture(autouse=True)
def data(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(shared_data))


def test_a_weight_is_what_a_spike_adds_to_the_membrane() -> None:
    found = recipe("sparse-fashion")
    cells = found.network(found.settings()).layers["1_lif"]
    drive = torch.zeros(3, 1, 200)
    drive[0] = 0.5
    v = cells.run(drive, record=("v",))[2]["v"][:, 0, 0]
    decay = float(torch.exp(torch.tensor(-0.1)))
    assert v.tolist() == pytest.approx([0.5, 0.5 * decay, 0.5 * decay**2], rel=1e-5)


@pytest.mark.parametrize("name", ["sparse-fashion", "sparse-nmnist"])
def test_the_first_weights_are_those_of_the_paper(name: str) -> None:
    found = recipe(name)
    parts = build(found, found.settings(sources=[Source("test", {"samples": 20})]))
    for weight in parts.first_weights.values():
        if weight.ndim < 2:
            continue
        bound = weight.shape[1] ** -0.5
        expected = 20 * 0.0951626 * bound if name == "sparse-fashion" else bound / 3**0.5
        assert float(weight.std()) == pytest.approx(expected, rel=0.05)
    x, _ = parts.data.test.batch([0, 1])
    assert x.shape[2:] == (found.inputs,)
    assert set(x.unique().tolist()) == {0.0, 1.0}


@pytest.mark.filterwarnings("ignore:.*no active neuron:UserWarning")
def test_measure_trains_with_and_without_the_window_and_gives_every_figure(tmp_path: Path) -> None:
    found = recipe("sparse-fashion")
    settings = found.settings(sources=[Source("test", {**TINY, "sweep": [1e-4]})])
    values = found.measure(settings, tmp_path, resume=False, progress=False)
    assert {figure.metric for figure in found.figures} - set(values) == {
        lost_at(window) for window in (1e-3, 1e-2, 5e-2)
    }
    runs = {folder.name for folder in tmp_path.iterdir()}
    assert runs == {"sparse", "dense", "window-0.2", "window-0.0001"}
    assert 0 < values[LESS_MEMORY] < 100
    assert "window is not set" in (tmp_path / "dense" / "settings.toml").read_text()
