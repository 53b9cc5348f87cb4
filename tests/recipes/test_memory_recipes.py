"""Recipes with after-hyperpolarising neurons: inputs, sizes, and what they measure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import spikewright as sw
from spikewright.recipes import recipe
from spikewright.recipes.core.baselines import LSTM
from spikewright.recipes.core.memory import AHEAD_OF_LIF, RATE, WAYS
from spikewright.recipes.core.run import build
from spikewright.recipes.ecg import RECALL
from spikewright.settings import Source

SMALL = {"hidden": 12, "epochs": 1, "batch_size": 16}


@pytest.fixture(autouse=True)
def data(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(shared_data))


def parts(name: str, size: str = "small", **options: Any) -> Any:
    found = recipe(name)
    return build(found, found.settings(size, [Source("test", options)]))


def test_rows_and_pixels_of_an_image_last_as_long() -> None:
    rows = parts("sequential-mnist", images=40)
    x, _ = rows.data.train.batch([0, 3])
    image = rows.data.train.values[3].float() / 255
    assert x.shape == (36, 2, 29)
    assert torch.equal(x[:28, 1, :28], image)
    assert x[28:, :, :28].abs().sum() == 0
    assert torch.equal(x[:, 0, 28], (torch.arange(36) >= 28).float())
    pixels = parts("sequential-mnist", "full", images=40, hidden=12)
    x, _ = pixels.data.train.batch([3])
    assert x.shape == (840, 1, 80)
    assert pixels.settings.memory == "checkpoint"
    assert 28 * rows.data.dt == pytest.approx(784 * pixels.data.dt)


@pytest.mark.parametrize("name", ["sequential-mnist", "ecg"])
def test_the_networks_that_are_compared_have_one_size(name: str) -> None:
    found = recipe(name)
    sizes: dict[str, int] = {}
    for way, changed in WAYS.items():
        network = found.network(found.settings(sources=[Source("test", changed)]))
        sizes[way] = sum(p.numel() for p in network.parameters())
        cells = next(iter(network.modules()))
        betas = [m.params().beta for m in cells.modules() if isinstance(m, sw.AHPLIF)]
        if way != "LSTM":
            (beta,) = betas
            assert int((beta > 0).sum()) == (len(beta) // 2 if way == "AHP" else 0)
    assert sizes["LIF"] == sizes["AHP"]
    assert sizes["LSTM"] == pytest.approx(sizes["AHP"], rel=0.02)


def test_a_weight_is_what_a_spike_adds_to_the_membrane() -> None:
    network = recipe("ecg").network(recipe("ecg").settings())
    network.build((27,))
    cells = network.layers["1_recurrent"].neuron
    drive = torch.zeros(2, 1, 100)
    drive[0] = 0.5
    v = cells.run(drive, record=("v",))[2]["v"]
    assert v[0].flatten().tolist() == pytest.approx([0.5] * 100, rel=1e-5)


def test_an_lstm_in_chunks_gives_what_one_run_gives() -> None:
    torch.manual_seed(0)
    net = sw.Sequential(LSTM(3, 5), sw.Linear(5, 2), dt=1e-3)
    x = torch.rand(9, 2, 3)
    whole, _ = net(x)
    first, state = net(x[:4])
    second, _ = net(x[4:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    with pytest.raises(sw.errors.NetworkError, match="LSTM: input features must be"):
        net.layers["0_lstm"].output_shape((4,))


@pytest.mark.filterwarnings("ignore:.*must stay:UserWarning")
def test_measure_trains_all_three_and_gives_every_figure(tmp_path: Path) -> None:
    found = recipe("ecg")
    settings = found.settings(sources=[Source("test", {**SMALL, "limit": 32, "density": 0.3})])
    values = found.measure(settings, tmp_path, resume=False, progress=False)
    assert {figure.metric for figure in found.figures} <= set(values)
    assert {f"{way}: test accuracy, %" for way in ("LIF", "LSTM")} <= set(values)
    assert values[AHEAD_OF_LIF] == pytest.approx(
        values["test accuracy, %"] - values["LIF: test accuracy, %"]
    )
    assert 0 <= values[RECALL] <= 100
    assert 0 <= values[RATE] <= 1000
    assert values["spikes a neuron and sample"] == pytest.approx(values[RATE] * 0.160)
    assert {folder.name for folder in tmp_path.iterdir()} == set(WAYS)
