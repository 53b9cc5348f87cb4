"""LeNet-5 through the tools for both codes: what follows of what they say."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch

from spikewright.errors import MissingDependency
from spikewright.recipes import recipe
from spikewright.recipes.core import designs
from spikewright.recipes.core.designs import (
    CHEAPER,
    CLOCKS,
    ENERGY,
    FASTER,
    LARGER_FASTER,
    LARGER_LUT,
    LATENCY,
    LESS_ENERGY,
    LESS_POWER,
    LUT_SECONDS,
    MEDIAN,
    POWER,
    STEPS,
    Through,
    at,
    both_codes,
)
from spikewright.settings import Source
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.integer import INPUT, Dense, IntegerNetwork, Stage
from spikewright.targets.fpga.interpreter import interpret
from spikewright.targets.fpga.synthesis.activity import Activity
from spikewright.targets.fpga.synthesis.result import Synthesis
from spikewright.targets.fpga.synthesis.tools import Tool

DENSE = Dense(torch.tensor([[1, -2], [3, 1]]), torch.tensor([0, 1]))
NETWORK = IntegerNetwork((2,), 3, (Stage("out", (INPUT,), DENSE),))
Q = torch.tensor([[3, 1], [0, 2]]).numpy()


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tools that say at once what depends on code and seed only."""
    asked: list[str] = []

    def synthesise(place: Path, flow: Any, *, progress: Any = None) -> Synthesis:
        asked.append(f"{place.name} {flow.name}")
        assert (place / "rtl" / "accelerator.sv").exists()
        lut = 100.0 if "radix" in place.name else 150.0
        placements = getattr(flow, "placements", 0)
        clocks = (50.0, 80.0, 60.0)[:placements]
        fmax = median(clocks) if clocks else None
        taken = {"lut": lut + (0 if clocks else 7), "ff": 5.0, "bram": 2.5}
        return Synthesis("tool", "1", flow.device, taken, 1.0, (), "", fmax=fmax, clocks=clocks)

    def count_activity(program: Any, q: Any) -> Activity:
        cycles = interpret(program, q[:1]).cycles
        times = 3.0 if program.dimensions.rate else 1.0
        return Activity(cycles, 8, additions=100 * times, read_bits=640 * times)

    monkeypatch.setattr(designs, "synthesise", synthesise)
    monkeypatch.setattr(designs, "count_activity", count_activity)
    return asked


def test_both_codes_are_compared_at_the_median_clock(tools: list[str], tmp_path: Path) -> None:
    found = both_codes(
        NETWORK, Q, Through(Hardware(1, 1, 1), Hardware(1, 1, 2), "25k", 3, tmp_path)
    )
    assert len(tools) == 3 * 2
    assert sum("rate" in line for line in tools) == 2
    radix, rate, larger = (
        {name: found[f"T = 3, {design}: {name}"] for name in designs.TABLE.quantities}
        for design in ("radix", "rate", "larger radix")
    )
    assert (radix[STEPS], rate[STEPS]) == (3, 7)
    assert radix["7-series: LUT"] == 107
    assert radix["ECP5: LUT"] == 100
    assert radix[MEDIAN] == 60
    assert radix[LATENCY] == pytest.approx(radix[CLOCKS] / 60e3)
    assert radix[LUT_SECONDS] == pytest.approx(100 * radix[LATENCY] / 1e3)
    assert found[at(3, FASTER)] == pytest.approx(rate[CLOCKS] / radix[CLOCKS])
    assert found[at(3, CHEAPER)] == pytest.approx(100 / 150 * radix[CLOCKS] / rate[CLOCKS])
    assert found[at(3, LARGER_LUT)] == pytest.approx(100 / 150)
    assert larger[CLOCKS] < radix[CLOCKS]
    assert found[at(3, LARGER_FASTER)] == pytest.approx(rate[CLOCKS] / larger[CLOCKS])
    # 100 additions of 8 bits at 14 x 0.03 pJ and 640 bits at 10 / 64 pJ.
    assert radix[ENERGY] == pytest.approx((42 + 100) * 1e-6)
    assert radix[POWER] == pytest.approx(radix[ENERGY] / radix[LATENCY])
    assert found[at(3, LESS_ENERGY)] == pytest.approx(1 / 3)
    assert found[at(3, LESS_POWER)] == pytest.approx(found[at(3, FASTER)] / 3)


@pytest.mark.slow
def test_the_recipe_gives_every_figure_and_its_table(
    tools: list[str], shared_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(shared_data))
    found = recipe("lenet-codes-fpga")
    values = {"images": 300, "validation": 20, "epochs": 1, "fine_epochs": 0, "rates": (31,),
              "calibrated": 100, "counted": 2, "placements": 1}  # fmt: skip
    settings = found.settings(sources=[Source("test", values)])
    measured = found.measure(settings, tmp_path, resume=False, progress=False)
    assert {figure.metric for figure in found.figures} <= set(measured)
    (shown,) = (table.listing([measured]) for table in found.tables)
    assert shown is not None
    names = ("radix", "rate", "larger radix")
    assert shown.head == ["", *(f"T = {steps}, {name}" for steps in (4, 5) for name in names)]
    assert shown.rows[0] == [STEPS, "4", "15", "4", "5", "31", "5"]
    assert measured[f"T = 4, radix: {CLOCKS}"] == 90_045
    assert 5 < measured[at(5, FASTER)] < 31 / 5


def test_missing_tools_are_told_before_the_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Tool, "find", lambda self: None)
    found = recipe("lenet-codes-fpga")
    with pytest.raises(MissingDependency, match="yosys must be installed"):
        found.measure(found.settings(), tmp_path, resume=False, progress=False)
    assert not list(tmp_path.iterdir())
