"""The recipes of proxy learning: what they take from the sheet, and that each trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import spikewright as sw
from spikewright.recipes import recipe
from spikewright.recipes.core.proxy import converted_at
from spikewright.recipes.core.report import make_report
from spikewright.recipes.core.run import build, run
from spikewright.recipes.core.sweep import curves
from spikewright.settings import Source

TINY: dict[str, dict[str, Any]] = {
    "proxy-fashion": {
        "images": 40, "validation": 20, "channels": [4, 0, 0], "dense": [8], "steps": 4,
        "epochs": 1, "batch_size": 20, "lengths": [2, 8],
    },
    "proxy-cifar10": {
        "images": 40, "validation": 20, "channels": [4, 0, 0], "dense": [], "steps": 4,
        "epochs": 1, "batch_size": 20, "lengths": [2],
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def data(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(shared_data))


def settings_of(name: str, size: str = "small", **changed: Any) -> Any:
    return recipe(name).settings(size, sources=[Source("test", changed)])


@pytest.mark.filterwarnings("ignore::spikewright.training.TrainingWarning")
@pytest.mark.parametrize(
    ("name", "runs"),
    [("proxy-fashion", {"proxy", "surrogate", "relu"}), ("proxy-cifar10", {"proxy"})],
)
def test_measure_trains_all_that_are_compared_and_gives_every_figure(
    name: str, runs: set[str], tmp_path: Path
) -> None:
    found = recipe(name)
    values = found.measure(settings_of(name, **TINY[name]), tmp_path, resume=False, progress=False)
    assert {figure.metric for figure in found.figures if "small" in figure.sizes} <= set(values)
    assert all(torch.tensor(value).isfinite() for value in values.values())
    assert {folder.name for folder in tmp_path.iterdir()} == runs
    if name == "proxy-fashion":
        assert {converted_at(steps) for steps in (2, 4, 8)} <= set(values)
        (curve,) = curves(found.sweeps, [values])
        assert set(curve.lines) == {"by proxy", "converted", "converted with a shift"}
        assert all(line.x == (2.0, 4.0, 8.0) for line in curve.lines.values())
        at_four = values["by proxy, 4 steps: test accuracy, %"]
        assert at_four == pytest.approx(values["test accuracy, %"])


def test_full_size_has_the_published_layers_and_optimiser() -> None:
    found, settings = recipe("proxy-fashion"), settings_of("proxy-fashion", "full")
    net: Any = found.network(settings)
    layers = list(net.layers.values())
    kinds = [type(layer).__name__ for layer in layers]
    conv = ["Conv2d", "BatchNorm", "IF"]
    dense = ["Linear", "IF"] * 4
    assert kinds == [*conv, *conv, "MaxPool2d", *conv, "MaxPool2d", "Flatten", *dense]
    sizes = [layer.weight.shape for layer in layers if isinstance(layer, sw.Linear)]
    assert [tuple(size) for size in sizes] == [(2560, 6272), (1152, 2560), (256, 1152), (10, 256)]
    products = [layer for layer in layers if isinstance(layer, sw.Conv2d | sw.Linear)]
    assert all(layer.bias is None for layer in products)
    cells = [layer for layer in layers if isinstance(layer, sw.IF)]
    assert {float(cell.params().v_threshold) for cell in cells} == {2.0}
    assert {cell.firing.reset for cell in cells} == {"to_value"}
    rule: Any = found.rule(settings)
    assert (rule.optimisation.learning_rate, rule.optimisation.weight_decay) == (1e-4, 1e-6)
    assert rule.optimisation.options == {"betas": (0.8, 0.99)}
    assert (rule.loss.correct, rule.loss.incorrect, rule.saturating) == (1.0, 0.0, False)
    assert rule.freeze_after == 550  # an epoch of 55000 images in batches of 100
    assert settings.steps == 15


def test_training_images_are_cropped_as_published() -> None:
    found, settings = recipe("proxy-fashion"), settings_of("proxy-fashion", crop=2, images=30)
    x, _ = found.data(settings).train.batch(range(30), torch.Generator().manual_seed(0))
    assert x.shape[2:] == (1, 28, 28)
    assert not x[..., 0, :].any()
    assert not x[..., -1].any()


def test_first_weights_bring_each_layer_to_the_rate_asked_for() -> None:
    found = recipe("proxy-fashion")
    parts = build(found, settings_of("proxy-fashion", **{**TINY["proxy-fashion"], "rate": 0.2}))
    x = found.first_batch(parts.data, parts.settings)
    with torch.no_grad():
        run = parts.network.run(x)
    for name, record in run.records.items():
        assert float(record["spikes"].mean()) == pytest.approx(0.2, abs=0.05), name


@pytest.mark.filterwarnings("ignore::spikewright.training.TrainingWarning")
def test_a_report_shows_accuracy_over_time(tmp_path: Path) -> None:
    found, settings = recipe("proxy-fashion"), settings_of("proxy-fashion", **TINY["proxy-fashion"])
    done = run(found, settings, tmp_path, resume=False, progress=False)
    (curve,) = make_report(done).data.measured
    line = curve.lines["by proxy"]
    assert line.x == (2.0, 4.0, 8.0)
    assert line.y[1] == pytest.approx(100 * done.test.metrics["accuracy"])
