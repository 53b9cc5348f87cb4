"""The other networks for the FPGA: trained a little, rounded, compiled and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spikewright.recipes import recipe
from spikewright.recipes.core import simulation
from spikewright.recipes.core.radix import BY_RATE, CLOCKS, DIFFER, DROP, RADIX, SIMULATED
from spikewright.recipes.core.report import make_report
from spikewright.recipes.core.run import run
from spikewright.settings import Source
from spikewright.targets.fpga.interpreter import interpret

SHORT = {"epochs": 1, "fine_epochs": 0, "rates": (4,), "simulated": 0}
IMAGES: dict[str, dict[str, Any]] = {
    "fashion-fpga": {"images": 300, "validation": 20},
    "fang-cnn-fpga": {"images": 300, "validation": 20},
    "alexnet-fpga": {"images": 24, "validation": 4, "checked": 1, "calibrated": 20},
    "vgg11-fpga": {"images": 24, "validation": 4, "checked": 1, "calibrated": 20},
}
WEIGHTS = {
    "fashion-fpga": (6 * 25, 16 * 6 * 25, 400 * 120, 120 * 84, 84 * 10),
    "fang-cnn-fpga": (32 * 9, 32 * 32 * 9, 800 * 256, 256 * 10),
    "alexnet-fpga": (64 * 27, 192 * 64 * 9, 384 * 192 * 9, 256 * 384 * 9, 256 * 256 * 9,
                     4096 * 1024, 1024 * 1024, 1024 * 10),
    "vgg11-fpga": (64 * 27, 128 * 64 * 9, 256 * 128 * 9, 256 * 256 * 9, 512 * 256 * 9,
                   512 * 512 * 9, 512 * 512 * 9, 512 * 512 * 9, 512 * 10),
}  # fmt: skip


@pytest.fixture
def data(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(shared_data))


@pytest.mark.parametrize("name", sorted(WEIGHTS))
def test_networks_have_their_layers(name: str) -> None:
    found: Any = recipe(name)
    network = found.module(found.settings("full"))
    assert tuple(p.numel() for p in network.parameters() if p.dim() > 1) == WEIGHTS[name]


@pytest.mark.slow
@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("name", sorted(IMAGES))
def test_each_is_trained_rounded_compiled_and_compared(name: str, tmp_path: Path) -> None:
    found = recipe(name)
    settings = found.settings(sources=[Source("test", SHORT | IMAGES[name])])
    measured = found.measure(settings, tmp_path, resume=False, progress=False)
    assert measured[DIFFER] == 0
    assert measured[DROP] == pytest.approx(measured["test accuracy, %"] - measured[RADIX])
    assert measured[CLOCKS] > 10_000
    assert measured[SIMULATED] == 0


@pytest.mark.slow
@pytest.mark.usefixtures("data")
def test_images_on_which_the_systemverilog_differs_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(program: Any, q: Any) -> Any:
        found = interpret(program, q)
        found.results[-1, 3] += len(q) == 2
        return found

    monkeypatch.setattr(simulation, "available", lambda: True)
    monkeypatch.setattr(simulation, "build", lambda dimensions: None)
    monkeypatch.setattr(simulation, "simulate", wrong)
    monkeypatch.setattr(simulation, "MOST_CLOCKS", 2 * 90_045)
    found = recipe("fashion-fpga")
    values = SHORT | IMAGES["fashion-fpga"] | {"simulated": 3}
    settings = found.settings(sources=[Source("test", values)])
    measured = found.measure(settings, tmp_path, resume=False, progress=False)
    assert measured[SIMULATED] == 3
    assert measured[DIFFER] == 1


@pytest.mark.slow
@pytest.mark.usefixtures("data")
def test_a_report_lists_what_was_measured_and_draws_no_single_step_over_time(
    tmp_path: Path,
) -> None:
    found = recipe("fashion-fpga")
    settings = found.settings(sources=[Source("test", SHORT | IMAGES["fashion-fpga"])])
    done = run(found, settings, tmp_path, resume=False, progress=False)
    data = make_report(done, {CLOCKS: 90_045.0, BY_RATE.format(x=4): 90.0, RADIX: 88.0}).data
    assert data.samples == []
    assert [each.rows for each in data.listings] == [[(CLOCKS, "90,045"), (RADIX, "88")]]
    (curve,) = data.measured
    assert curve.lines["rate code"].x == (4.0,)
