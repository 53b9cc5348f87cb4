"""The recipes of exact gradients: what they take from the papers, and that each trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from heidelberg import write
from sounds import write_digits
from spikewright.recipes import recipe
from spikewright.recipes.core.report import make_report
from spikewright.recipes.core.run import Parts, build, run
from spikewright.settings import Source

IMAGES = {"images": 40, "validation": 10, "hidden": 10, "epochs": 1, "batch_size": 20}
TINY: dict[str, dict[str, Any]] = {
    "eventprop-mnist": IMAGES,
    "spike-time-mnist": {**IMAGES, "conv_images": 20, "conv_epochs": 1},
    "spike-time-fashion": IMAGES,
    "multi-spike-mnist": {**IMAGES, "sweep": [4e-3, 8e-3, 16e-3], "sweep_images": 20,
                          "sweep_epochs": 1},
    "exact-yin-yang": {"epochs": 1, "hidden": 10, "batch_size": 500},
    "loss-shaping": {"epochs": 1, "samples": 20, "classes": 2, "hidden": 10, "batch_size": 10},
    "multi-spike-advantages": {**IMAGES, "repeats": 1},
    "eventprop-spoken-digits": {"recordings": 12, "hidden": 10, "epochs": 1, "steps": 400},
    "eventprop-shd": {"hidden": 10, "epochs": 1, "steps": 1300},
}  # fmt: skip


@pytest.fixture(autouse=True)
def data(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(shared_data))


@pytest.fixture
def heidelberg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "shd/shd_train.h5", [0, 19, 2, 3], [0, 3, 0, 3])
    write(tmp_path / "shd/shd_test.h5", [7, 8], [4, 5], seed=1)
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(tmp_path))


def parts_of(name: str, **changed: Any) -> Parts:
    found = recipe(name)
    return build(found, found.settings(sources=[Source("test", {**TINY[name], **changed})]))


def measured(name: str, folder: Path) -> dict[str, float]:
    """What a recipe measures on tiny settings, all figures of the small size among it."""
    found = recipe(name)
    settings = found.settings(sources=[Source("test", TINY[name])])
    values = found.measure(settings, folder, resume=False, progress=False)
    small = {figure.metric for figure in found.figures if "small" in figure.sizes}
    assert small <= set(values)
    assert all(
        torch.tensor(value).isfinite() or "latency" in name for name, value in values.items()
    )
    return values


@pytest.mark.filterwarnings("ignore::spikewright.training.TrainingWarning")
@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("eventprop-mnist", {"exponential", "uniform", "first-spike"}),
        ("spike-time-mnist", {"dense", "once", "convolutional"}),
        ("spike-time-fashion", {"many", "once"}),
        (
            "multi-spike-mnist",
            {"trained"}
            | {f"{k}-{t}" for k in ("many-spikes", "one-spike-a-neuron")
               for t in ("0.004", "0.008", "0.016")},
        ),
        (
            "exact-yin-yang",
            {"EventProp", "spike times", "EventProp on a grid", "spike times, one spike a neuron"},
        ),
        (
            "loss-shaping",
            {"average", "average-no-silence", "average-40-ms"}
            | {"uniform", "linear", "exponential", "peak"},
        ),
        ("multi-spike-advantages", {"one spike", "many spikes"}),
    ],
)  # fmt: skip
def test_measure_trains_all_that_are_compared_and_gives_every_figure(
    name: str, runs: set[str], tmp_path: Path
) -> None:
    measured(name, tmp_path)
    assert {folder.name for folder in tmp_path.iterdir()} == runs


@pytest.mark.filterwarnings("ignore::spikewright.training.TrainingWarning")
def test_spoken_digits_train_and_give_every_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(write_digits(tmp_path, samples=300)))
    measured("eventprop-spoken-digits", tmp_path / "runs")


@pytest.mark.usefixtures("heidelberg")
@pytest.mark.filterwarnings("ignore::spikewright.training.TrainingWarning")
def test_heidelberg_digits_train_and_give_every_figure(tmp_path: Path) -> None:
    measured("eventprop-shd", tmp_path / "runs")


@pytest.mark.usefixtures("heidelberg")
@pytest.mark.filterwarnings("ignore::spikewright.training.TrainingWarning")
def test_a_report_shows_recurrent_neurons_with_their_thresholds(tmp_path: Path) -> None:
    found = recipe("eventprop-shd")
    settings = found.settings(sources=[Source("test", TINY["eventprop-shd"])])
    done = run(found, settings, tmp_path / "run", resume=False, progress=False)
    data = make_report(done).data
    assert data.subtitle == "Input 700 → Linear → Recurrent(10) → Linear → CubaLI(20)"
    assert {name for sample in data.samples for name in sample.membranes} == {"1_recurrent"}
    assert all((m.threshold == 1).all() for s in data.samples for m in s.membranes.values())


@pytest.mark.parametrize(
    ("loss", "normal"),
    [
        ("exponential", ((0.078, 0.045), (0.2, 0.37))),
        ("first spike", ((0.078, 0.045), (0.9, 0.03))),
    ],
)
def test_eventprop_mnist_starts_from_the_published_weights(loss: str, normal: Any) -> None:
    parts = parts_of("eventprop-mnist", hidden=128, loss=loss)
    weights = [weight for weight in parts.first_weights.values() if weight.ndim == 2]
    for weight, (mean, sd) in zip(weights, normal, strict=True):
        error = 5 * sd / weight.numel() ** 0.5
        assert float(weight.mean()) == pytest.approx(mean, abs=error)
        assert float(weight.std()) == pytest.approx(sd, abs=error)


@pytest.mark.parametrize("name", ["eventprop-mnist", "spike-time-mnist"])
def test_a_pixel_spikes_when_the_papers_say(name: str) -> None:
    split = parts_of(name).data.train
    spikes, _ = split.batch([0])
    pixels = split.values[0].flatten().double()
    grey = pixels[spikes.units]
    assert len(spikes) == int((pixels > (1 if name == "eventprop-mnist" else 0)).sum())
    if name == "eventprop-mnist":
        expected = (255 - grey) / 255 * (20e-3 - 4e-3) + 2e-3
    else:
        expected = 0.1 * (1 - grey / 255)
    torch.testing.assert_close(spikes.times, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "changed", "thresholds", "most", "low"),
    [
        ("spike-time-mnist", {}, (0.2, 1.3), (30, 30), -1.0),
        ("spike-time-mnist", {"loss": "first spike"}, (0.7, 2.0), 1, 0.0),
        ("spike-time-mnist", {"network": "convolutional"}, (0.04, 0.8, 0.6, 0.3), (1, 3, 10, 30),
         -1.0),
        ("spike-time-fashion", {}, (0.13, 0.45, 0.7), (5, 5, 20), -1.0),
    ],
)  # fmt: skip
def test_thresholds_weights_and_spikes_of_spike_time_recipes_are_those_published(
    name: str, changed: dict[str, Any], thresholds: tuple[float, ...], most: Any, low: float
) -> None:
    parts = parts_of(name, tau_syn=0.13, hidden=100, **changed)
    cells: list[Any] = [layer for layer in parts.network.layers.values() if layer.spiking]
    # Theirs are for a response that is tau_mem times ours.
    for cell, threshold in zip(cells, thresholds, strict=True):
        assert float(cell.params().tau_mem) == pytest.approx(0.26)
        assert float(cell.params().v_threshold) * 0.26 == pytest.approx(threshold)
    limits: Any = parts.rule.max_spikes  # type: ignore[attr-defined]
    assert (limits if isinstance(limits, int) else tuple(limits.values())) == most
    for weight in parts.first_weights.values():
        if weight.ndim < 2:
            continue
        assert float(weight.min()) >= low
        assert float(weight.max()) <= 1
        mean, sd = (1 + low) / 2, (1 - low) / 12**0.5
        assert float(weight.mean()) == pytest.approx(mean, abs=5 * sd / weight.numel() ** 0.5)
        assert float(weight.std()) == pytest.approx(sd, abs=5 * sd / weight.numel() ** 0.5)


@pytest.mark.usefixtures("heidelberg")
def test_the_heidelberg_network_is_that_of_the_paper() -> None:
    parts = parts_of("eventprop-shd", hidden=256)
    normal = {(256, 700): (0.03, 0.01), (256, 256): (0.0, 0.02), (20, 256): (0.0, 0.03)}
    weights = {tuple(w.shape): w for w in parts.first_weights.values() if w.ndim == 2}
    assert weights.keys() == normal.keys()
    for shape, (mean, sd) in normal.items():
        error = 5 * sd / weights[shape].numel() ** 0.5
        assert float(weights[shape].mean()) == pytest.approx(mean, abs=error)
        assert float(weights[shape].std()) == pytest.approx(sd, abs=error)
    without = parts_of("eventprop-shd", hidden=256, recurrent=False).first_weights.values()
    assert (256, 256) not in {tuple(weight.shape) for weight in without}


def test_a_report_of_exact_events_shows_their_spikes_and_not_those_of_a_grid(
    tmp_path: Path,
) -> None:
    found = recipe("exact-yin-yang")
    changed = {**TINY["exact-yin-yang"], "max_spikes": 1}
    settings = found.settings(sources=[Source("test", changed)])
    done = run(found, settings, tmp_path, resume=False, progress=False)
    page = make_report(done)
    assert "Credit over the trial" in page.to_html()
    data = page.data
    assert len(data.samples) == 3
    for sample in data.samples:
        for spikes in sample.hidden.values():
            assert 0 < spikes.sum() <= spikes.shape[1]
            assert spikes.max() == 1
    rate = data.summary.firing_rate
    assert rate is not None
    assert rate * 400 <= 1
    assert data.credit is not None
    assert list(data.credit.layers) == ["1_cubalif", "3_cubalif"]
    assert len(data.boundaries) == 1
