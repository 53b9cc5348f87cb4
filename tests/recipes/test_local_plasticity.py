"""The recipes that learn without labels: what they take from the sheets, and that each trains."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import spikewright as sw
from spikewright.errors import SettingsError
from spikewright.recipes import recipe
from spikewright.recipes.core.plasticity import updates_of_pairs, updates_per_image
from spikewright.recipes.core.report import make_report
from spikewright.recipes.core.reproduce import Plan, reproduce
from spikewright.recipes.core.run import build, run
from spikewright.recipes.core.workers import side_by_side
from spikewright.recipes.vdsp_mnist import drive
from spikewright.report.figures.receptive_fields import tiled
from spikewright.settings import Source

TINY: dict[str, dict[str, Any]] = {
    "vdsp-mnist": {"images": 20, "neurons": 5, "steps": 60, "dt": 5e-3, "refractory": 5e-3,
                   "scales": [1.0, 2.0], "scale_images": 10, "r": 3.0},
    "stdp-mnist": {"images": 20, "neurons": 5, "steps": 60},
}  # fmt: skip


@pytest.fixture(autouse=True)
def data(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(shared_data))


def tiny(name: str, **changed: Any) -> Any:
    return recipe(name).settings(sources=[Source("test", {**TINY[name], **changed})])


@pytest.mark.filterwarnings("ignore::spikewright.training.TrainingWarning")
@pytest.mark.parametrize("name", TINY)
def test_measure_gives_every_figure(name: str, tmp_path: Path) -> None:
    found = recipe(name)
    values = found.measure(tiny(name, neurons=100), tmp_path, resume=False, progress=False)
    assert {figure.metric for figure in found.figures if "small" in figure.sizes} <= set(values)


@pytest.mark.parametrize("rate", [25.0, 50.0, 100.0, 200.0])
def test_a_white_pixel_fires_at_the_rate_that_is_asked_for(rate: float) -> None:
    """Up to the time step: a membrane that goes from -1 to 1, then waits."""
    neuron = sw.LIF(tau_mem=30e-3, v_reset=-1.0, refractory=2e-3)
    net = sw.Sequential(neuron, dt=1e-4)
    x = torch.full((1, 1, 1), drive(rate, 30e-3, 2e-3)).expand(20_000, 1, 1)
    spikes = float(net.run(x).output.sum())
    assert spikes / 2.0 == pytest.approx(rate, rel=0.03)
    interval = 2e-3 + 30e-3 * math.log(
        (drive(rate, 30e-3, 2e-3) + 1) / (drive(rate, 30e-3, 2e-3) - 1)
    )
    assert 1 / interval == pytest.approx(rate)


def test_a_rate_that_the_refractory_period_forbids_is_refused_before_any_training(
    tmp_path: Path,
) -> None:
    found, settings = recipe("vdsp-mnist"), tiny("vdsp-mnist", rate=60.0, scales=[1.0, 4.0])
    with pytest.raises(SettingsError, match=r"below 1 / refractory = 200 Hz, got 240\. Lower it"):
        found.measure(settings, tmp_path, resume=False, progress=False)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("vdsp-mnist", {"scales": [0.0]}),
        ("vdsp-mnist", {"scales": []}),
        ("vdsp-mnist", {"larger": [0]}),
        ("proxy-fashion", {"lengths": [8, 0]}),
        ("proxy-fashion", {"channels": [-1]}),
        ("proxy-cifar10", {"channels": [-1]}),
        ("proxy-fashion", {"dense": [0]}),
        ("stochastic-mnist", {"sweep": [0]}),
        ("desire-mnist", {"hidden": [0]}),
        ("desire-fashion", {"hidden": [0]}),
    ],
)
def test_lists_with_wrong_numbers_are_refused_as_settings(name: str, wrong: Any) -> None:
    (key,) = wrong
    with pytest.raises(SettingsError, match=rf"settings: {key}.* in test must .*, got"):
        recipe(name).settings(sources=[Source("test", wrong)])


def test_updates_are_counted_on_both_sides_for_pairs_and_on_one_for_vdsp(tmp_path: Path) -> None:
    done = run(recipe("vdsp-mnist"), tiny("vdsp-mnist"), tmp_path, progress=False)
    network, (x, _) = done.parts.network, done.parts.data.train.batch(torch.arange(20))
    inputs = float(network.layers["0_lif"](x)[0].sum()) / 20
    outputs = done.fit.history[-1]["spikes"]
    assert outputs > 0
    assert updates_per_image(done) == pytest.approx(784 * outputs)
    assert updates_of_pairs(done) == pytest.approx(784 * outputs + 5 * inputs, rel=1e-5)


def test_a_report_shows_the_network_with_the_thresholds_that_training_left(tmp_path: Path) -> None:
    done = run(recipe("vdsp-mnist"), tiny("vdsp-mnist"), tmp_path, progress=False)
    page = make_report(done).data
    start = done.parts.rule.start(done.parts.network, 20, done.fit.rule_state)  # type: ignore[attr-defined]
    x, _ = done.parts.data.test.batch(torch.arange(20))
    expected = done.parts.network.run(x, start).output.mean((0, 1)).detach()
    torch.testing.assert_close(torch.as_tensor(page.rates["2_winnertakeall"]), expected)
    assert list(page.weights) == ["1_linear"]
    fields = tiled(page.weights["1_linear"])
    assert fields.shape == (2 * 29 - 1, 3 * 29 - 1)
    weight = done.parts.first_weights["nodes.1_linear.weight"]
    assert page.weights["1_linear"].after.shape == weight.shape
    torch.testing.assert_close(
        torch.as_tensor(fields[29:57, 29:57]),
        torch.as_tensor(page.weights["1_linear"].after[4].reshape(28, 28)),
    )
    assert "1_linear: receptive fields" in make_report(done).to_html()


def test_weights_start_from_all_values_that_they_may_have() -> None:
    parts = build(recipe("vdsp-mnist"), tiny("vdsp-mnist", neurons=50))
    (weight,) = (value for value in parts.first_weights.values() if value.ndim == 2)
    assert float(weight.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(weight.std()) == pytest.approx(12**-0.5, abs=0.01)


def test_threads_are_shared_among_the_processes_that_have_work() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        assert list(side_by_side([torch.get_num_threads] * 2, workers=8)) == [2, 2]
    finally:
        torch.set_num_threads(before)
    assert list(side_by_side([], workers=8)) == []


def test_seeds_side_by_side_measure_what_they_do_one_after_the_other(tmp_path: Path) -> None:
    found = recipe("stdp-mnist")
    tables = []
    for workers in (1, 2):
        seen: list[int] = []
        plan = Plan(found, tiny("stdp-mnist"), "small", 2, tmp_path / str(workers), workers)
        tables.append(
            reproduce(plan, progress=False, on_seed=lambda seed, _, s=seen: s.append(seed))
        )
        assert seen == [0, 1]
    assert tables[0].rows == tables[1].rows
    assert all((tmp_path / "2" / f"seed-{seed}" / "last").is_dir() for seed in (0, 1))
