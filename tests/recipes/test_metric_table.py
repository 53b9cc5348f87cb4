"""Tables among the metrics of a recipe, on the page and in the report."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from spikewright.recipes.core.metric_table import MetricTable
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.record import record
from spikewright.recipes.core.reproduce import Table, judge

TABLE = MetricTable("Designs", ("clocks", "7-series: LUT", "volts"), "What they take.")
SEEDS = (
    {"T = 4, radix: clocks": 10.0, "T = 4, rate: clocks": 30.0, "T = 4, radix: 7-series: LUT": 7.0,
     "accuracy, %": 99.0, "clocks": 1.0},
    {"T = 4, radix: clocks": 14.0, "T = 4, rate: clocks": 30.0, "T = 4, radix: 7-series: LUT": 7.0,
     "accuracy, %": 98.0, "clocks": 1.0},
)  # fmt: skip


def test_things_stand_side_by_side_with_means_of_all_seeds() -> None:
    found = TABLE.listing(SEEDS)
    assert found is not None
    assert found.head == ["", "T = 4, radix", "T = 4, rate"]
    assert found.rows == [
        ["clocks", "12 ± 2.8", "30 ± 0"],
        ["7-series: LUT", "7 ± 0", "–"],
    ]
    assert list(found.numeric) == [1, 2]
    assert TABLE.listing([{"accuracy, %": 99.0, "clocks": 1.0}]) is None
    assert TABLE.listing([]) is None


def test_the_page_shows_the_table_once_and_the_rest_as_before(tmp_path: Path) -> None:
    row = judge(Figure("accuracy, %", 97.0, "the paper"), [99.0, 98.0])
    table = Table("made", "small", (row,), 1.0, {"torch": "2"}, SEEDS)
    recipe: Any = SimpleNamespace(title="Made up", tables=(TABLE,))
    page = record(table, recipe, "seed = 0\n", tmp_path).read_text("utf-8")
    section = page[page.index("## Designs") : page.index("## Also measured")]
    assert section.splitlines()[2:7] == [
        "What they take.",
        "",
        "|  | T = 4, radix | T = 4, rate |",
        "|---|---:|---:|",
        "| clocks | 12 ± 2.8 | 30 ± 0 |",
    ]
    others = page[page.index("## Also measured") : page.index("## Settings")]
    assert "| clocks | 1 ± 0 |" in others
    assert "radix" not in others
    assert json.loads((tmp_path / "made-small.json").read_text("utf-8"))["system"] == "made"
