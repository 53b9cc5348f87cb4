"""The recipes of stochastic backpropagation: what they train, and that each figure is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spikewright.recipes import recipe
from spikewright.recipes.core.report import make_report
from spikewright.recipes.core.run import build, run
from spikewright.recipes.core.sweep import curves
from spikewright.settings import Source

TINY: dict[str, Any] = {
    "images": 40, "validation": 10, "hidden": 10, "epochs": 1, "batch_size": 20, "steps": 8,
    "sweep": [4, 8], "sweep_images": 20, "sweep_epochs": 1,
}  # fmt: skip
NAMES = ["stochastic-mnist", "stochastic-fashion"]


@pytest.fixture(autouse=True)
def data(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(shared_data))


def settings_of(name: str, **changed: Any) -> Any:
    return recipe(name).settings(sources=[Source("test", {**TINY, **changed})])


@pytest.mark.filterwarnings("ignore::spikewright.training.TrainingWarning")
@pytest.mark.parametrize("name", NAMES)
def test_streams_and_the_ann_train_and_give_every_figure(name: str, tmp_path: Path) -> None:
    found = recipe(name)
    values = found.measure(settings_of(name), tmp_path, resume=False, progress=False)
    small = {figure.metric for figure in found.figures if "small" in figure.sizes}
    assert small <= set(values)
    assert {"sweep, T = 4: test accuracy, %", "sweep, T = 8: test accuracy, %"} <= set(values)
    runs = {"streams", "ann", "sweep-ann", "sweep-4", "sweep-8"}
    assert {folder.name for folder in tmp_path.iterdir()} == runs
    (curve,) = curves(found.sweeps, [values])
    assert curve.lines["trained with each T"].x == (4.0, 8.0)
    assert curve.lines["ANN"].y == (values["sweep, ANN: test accuracy, %"],)
    gap = values["ANN of the same size: test accuracy, %"] - values["test accuracy, %"]
    assert values["ANN - streams, points of test accuracy"] == pytest.approx(gap)


@pytest.mark.parametrize("name", NAMES)
def test_both_start_from_the_same_weights(name: str) -> None:
    streams, ann = (
        build(recipe(name), settings_of(name, trained_on=kind)) for kind in ("streams", "means")
    )
    assert all(bool((w == ann.first_weights[n]).all()) for n, w in streams.first_weights.items())
    sd = float(streams.first_weights["nodes.0_linear.weight"].std())
    assert sd == pytest.approx(0.05, rel=0.05)


@pytest.mark.filterwarnings("ignore::spikewright.training.TrainingWarning")
def test_a_report_of_streams_shows_their_spikes(tmp_path: Path) -> None:
    found, settings = recipe("stochastic-mnist"), settings_of("stochastic-mnist")
    done = run(found, settings, tmp_path, resume=False, progress=False)
    said: list[str] = []
    explored = found.explore(done, said.append)
    assert said == ["test images in 4 steps", "test images in 8 steps"]
    data = make_report(done, explored | {"spikes": 12.0}).data
    (besides,) = data.listings
    assert besides.rows == [("spikes", "12")]
    assert data.rates["3_softmaxwinner"].mean() == pytest.approx(0.1, abs=1e-6)
    (curve,) = data.measured
    line = curve.lines["this network"]
    assert line.x == (4.0, 8.0)
    assert line.y[1] == pytest.approx(100 * done.test.metrics["accuracy"])
