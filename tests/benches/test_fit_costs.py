"""The table of costs of a machine: fitted, written, read, and used by training."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from spikewright.benches import fit_costs, to_json
from spikewright.benches.core.row import Row
from spikewright.engine.products.costs import SHIPPED, read_costs
from spikewright.errors import SettingsError


def write(path: Path, **changes: float) -> Path:
    costs = asdict(SHIPPED) | changes
    rows = [Row(name, value, value, "shipped table", "ns") for name, value in costs.items()]
    path.write_text(json.dumps(to_json("fit-costs", rows)))
    return path


def test_a_fitted_table_can_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_costs, "SIZES", ((30, 8), (50, 40), (20, 100)))
    monkeypatch.setattr(fit_costs, "IMAGES", ((1, 2, 5), (2, 3, 4), (3, 2, 6)))
    monkeypatch.setattr(fit_costs, "ROWS", (10, 4))
    monkeypatch.setattr(fit_costs, "REPEATS", 1)
    rows = list(fit_costs.rows())
    assert {row.case for row in rows} == set(asdict(SHIPPED))
    file = tmp_path / "costs.json"
    file.write_text(json.dumps(to_json("fit-costs", rows)))
    assert asdict(read_costs(file)) == {row.case: row.ours for row in rows}


def test_costs_are_found_from_times_that_they_explain() -> None:
    samples = [
        fit_costs.Sample(2.0 * a + 5.0 * b, (a, b)) for a, b in ((1, 4), (7, 2), (3, 3), (9, 1))
    ]
    assert fit_costs.least_squares(samples) == pytest.approx([2.0, 5.0])


@pytest.mark.parametrize("text", ["", "{}", '{"bench": "engine", "rows": []}', '{"rows": 3}'])
def test_another_file_is_refused_with_the_command_that_makes_one(tmp_path: Path, text: str) -> None:
    file = tmp_path / "costs.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match="spikewright bench fit-costs --json"):
        read_costs(file)
    with pytest.raises(SettingsError, match=r"costs: .*missing\.json must be a table"):
        read_costs(tmp_path / "missing.json")
