"""`spikewright reproduce`: the JSON others read, and `met` from the figures alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import spikewright.recipes
from spikewright.errors import SpikewrightError
from spikewright.recipes import Figure, Recipe, RunSettings
from spikewright.recipes.core.sweep import Sweep

Call = Callable[..., Any]
ROW = {"metric", "reference", "source", "value", "sd", "seeds", "better", "met"}


class Made(Recipe[RunSettings]):
    """Figures that follow from the seed, without any training."""

    title = "Made up"
    Settings = RunSettings
    seeds = {"small": 3, "full": 5}  # noqa: RUF012 - a constant
    figures = (
        Figure("accuracy, %", 90.0, "a paper"),
        Figure("error, %", 9.0, "another paper", "lower"),
        Figure("energy, J", 1.0, "a third", "lower", sizes=("full",)),
    )
    measured: tuple[float, ...] = (89.0, 90.0, 92.0, 90.0, 90.0)

    @property
    def name(self) -> str:
        return "made-up"

    def data(self, settings: RunSettings) -> Any: ...
    def network(self, settings: RunSettings) -> Any: ...
    def rule(self, settings: RunSettings) -> Any: ...

    def measure(
        self, settings: RunSettings, folder: Path, *, resume: bool | str, progress: bool
    ) -> dict[str, float]:
        accuracy = self.measured[settings.seed]
        return {"accuracy, %": accuracy, "error, %": 100 - accuracy, "energy, J": 0.5}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Made:
    recipe = Made()
    monkeypatch.setattr(spikewright.recipes, "recipe", lambda name: recipe)
    monkeypatch.chdir(tmp_path)
    return recipe


def test_the_json_holds_exactly_what_others_read(made: Made, call: Call) -> None:
    done = call("reproduce", "made-up", "--json", "out.json")
    assert done.exit_code == 0, done.stderr
    table = json.loads(Path("out.json").read_text())
    assert set(table) == {"system", "size", "rows", "seconds", "environment"}
    assert (table["system"], table["size"]) == ("made-up", "small")
    assert all(set(row) == ROW for row in table["rows"])
    assert table["rows"][0] == {
        "metric": "accuracy, %",
        "reference": 90.0,
        "source": "a paper",
        "value": pytest.approx(271 / 3),
        "sd": pytest.approx((7 / 3) ** 0.5),
        "seeds": 3,
        "better": "higher",
        "met": True,
    }
    assert table["environment"]["python"]


def test_met_follows_from_value_and_reference(made: Made, call: Call) -> None:
    done = call("reproduce", "made-up", "--json", "out.json", "--seeds", 3)
    rows = json.loads(Path("out.json").read_text())["rows"]
    assert [(row["metric"], row["met"]) for row in rows] == [
        ("accuracy, %", True),
        ("error, %", False),
    ]
    for row in rows:
        ahead = row["value"] - row["reference"] if row["better"] == "higher" else (
            row["reference"] - row["value"]
        )  # fmt: skip
        assert row["met"] == (ahead >= 0)
    assert "90.33 ± 1.53" in done.stdout


def test_the_full_size_has_its_own_seeds_and_figures(made: Made, call: Call) -> None:
    assert call("reproduce", "made-up", "--size", "full", "--json", "out.json").exit_code == 0
    table = json.loads(Path("out.json").read_text())
    assert [row["seeds"] for row in table["rows"]] == [5, 5, 5]
    assert table["rows"][2]["metric"] == "energy, J"


def test_one_seed_has_no_spread(made: Made, call: Call) -> None:
    call("reproduce", "made-up", "--seeds", 1, "--json", "out.json")
    (row, _) = json.loads(Path("out.json").read_text())["rows"]
    assert (row["value"], row["sd"], row["seeds"], row["met"]) == (89.0, 0.0, 1, False)


def test_record_writes_the_page_and_the_same_json(made: Made, call: Call) -> None:
    call("reproduce", "made-up", "--size", "full", "--record", "--json", "out.json")
    page = Path("docs/results/made-up.md").read_text()
    assert "| accuracy, % | ≥ 90 | a paper | 90.20 ± 1.10 | 5 | yes |" in page
    assert "spikewright reproduce made-up --size full --seeds 5 --record" in page
    assert "## Also measured" not in page
    call("reproduce", "made-up", "--size", "small", "--seeds", 2, "--record")
    small = Path("docs/results/made-up-small.md").read_text()
    assert "| energy, J | 0.5 ± 0 |" in small
    assert small.index("| accuracy, % |") < small.index("## Also measured")
    recorded = json.loads(Path("docs/results/made-up.json").read_text())
    assert recorded == json.loads(Path("out.json").read_text())


def test_a_folder_gets_a_report_with_the_figures_and_the_curves(made: Made, call: Call) -> None:
    sweep = Sweep("Over seeds", "x", "accuracy, %", {"made": "accuracy, {x}"})
    made.sweeps = [sweep]  # type: ignore[misc]
    made.measure = lambda *_, **__: {  # type: ignore[method-assign]
        "accuracy, %": 91.0, "error, %": 9.0, "accuracy, 1": 50.0, "accuracy, 2": 75.0
    }  # fmt: skip
    done = call("reproduce", "made-up", "--folder", "runs")
    assert done.exit_code == 0, done.stderr
    page = Path("runs/report.html").read_text()
    assert "Figures to meet" in page
    assert "2 of 2" in page
    assert "Over seeds" in page


def test_a_figure_that_is_not_measured_is_an_error(made: Made, call: Call) -> None:
    made.measure = lambda *_, **__: {"accuracy, %": 1.0}  # type: ignore[method-assign]
    done = call("--debug", "reproduce", "made-up")
    assert isinstance(done.exception, SpikewrightError)
    assert "measure must return 'error, %', got accuracy, %" in str(done.exception)


def test_a_recipe_is_reproduced_from_training_to_json(call: Call, tmp_path: Path) -> None:
    done = call(
        "reproduce", "yin-yang", "--seeds", 1, "--set", "epochs=1", "--set", "batch_size=200",
        "--no-progress", "--json", tmp_path / "out.json", "--folder", tmp_path / "runs",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    accuracy, floor = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert (accuracy["reference"], accuracy["met"]) == (97.0, False)
    assert floor["metric"].startswith("test accuracy after 5 epochs")
    assert floor["met"] == (floor["value"] >= 84.0)
    assert floor["value"] > accuracy["value"]
    assert (tmp_path / "runs" / "seed-0" / "5-epochs" / "best").is_dir()
