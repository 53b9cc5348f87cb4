"""The page as text and as a file."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikewright.errors import ParameterError, ShapeError, SpikewrightError
from spikewright.report import (
    Membrane,
    Report,
    ReportData,
    Sample,
    Summary,
    Weights,
    environment,
)


def body(data: ReportData) -> str:
    """The page without the code of Plotly, and so without whatever it mentions."""
    return re.sub(r"<script>.*?</script>", "", Report(data).to_html(), flags=re.DOTALL)


def figures(data: ReportData) -> list[dict[str, object]]:
    found = re.search(r'id="figures">(.*?)</script>', Report(data).to_html(), re.DOTALL)
    assert found
    return json.loads(found[1])


def sections(data: ReportData) -> list[str]:
    return re.findall(r'<section id="(\w+)"', body(data))


def test_every_section_is_there_when_every_field_is_given(run_data: ReportData) -> None:
    expected = "warnings learning answers samples rates weights layers settings environment"
    assert sections(run_data) == expected.split()


def test_missing_data_leaves_no_trace_of_its_section(run_data: ReportData) -> None:
    assert sections(ReportData(title="bare")) == []
    assert 'class="card"' not in body(ReportData(title="bare"))
    assert sections(replace(run_data, curves=(), rates={}, samples=[Sample()], warnings=())) == [
        "answers",
        "weights",
        "layers",
        "settings",
        "environment",
    ]


def test_empty_measurements_make_no_empty_plots() -> None:
    data = ReportData(
        title="nothing measured",
        curves=[{"kind": "train", "epoch": 1, "loss": float("nan"), "rates": {}}],
        confusion=np.zeros((3, 3), int),
        rates={"1_lif": np.array([np.nan])},
        weights={"0_linear": Weights(after=np.zeros((0, 3)))},
    )
    assert figures(data) == []
    assert sections(data) == []


def test_a_page_without_plots_does_not_carry_plotly() -> None:
    assert len(Report(ReportData(title="bare")).to_html()) < 20_000


def test_plotly_is_carried_once_and_data_are_compact(run_data: ReportData) -> None:
    page = Report(run_data).to_html()
    assert page.count("* plotly.js v") == 1
    assert len(body(run_data)) < 250_000


def test_cards_say_what_the_summary_holds(run_data: ReportData) -> None:
    page = body(run_data).replace("\N{NO-BREAK SPACE}", " ")
    for text in ("97.3 %", "0.0861", "1 min 32 s", "960", "131", "chance: 33.3 %", "40 epochs"):
        assert text in page
    assert "A card" in body(ReportData(title="t", summary=Summary(extra={"A card": "7"})))


def test_the_same_data_give_the_same_page(run_data: ReportData) -> None:
    assert Report(run_data).to_html() == Report(run_data).to_html()


def test_saving_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    for title in ("first", "second"):
        assert Report(ReportData(title=title)).save(path) == path
    assert "second" in path.read_text(encoding="utf-8")
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_a_full_disk_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Report(ReportData(title="old")).save(tmp_path / "report.html")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SpikewrightError, match=r"files\.write: .* must be a writable .*No space"):
        Report(ReportData(title="new")).save(path)
    assert "old" in path.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SpikewrightError, match="Choose another path"):
        Report(ReportData(title="t")).save(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (ReportData(title="t", confusion=np.ones((2, 3))), "square matrix, got shape"),
        (ReportData(title="t", confusion=np.eye(3), classes=("a",)), "as many as the 3 rows"),
        (ReportData(title="t", samples=[Sample(input=np.zeros((0, 4)))]), "not empty"),
        (ReportData(title="t", samples=[Sample(readout=np.eye(3), target=3)]), "from 0 to 2"),
        (
            ReportData(
                title="t",
                samples=[Sample(membranes={"a": Membrane(v=np.eye(3), spikes=np.eye(2))})],
            ),
            r"spikes must be of shape \(3, 3\), got \(2, 2\)",
        ),
        (
            ReportData(
                title="t",
                samples=[Sample(membranes={"a": Membrane(v=np.eye(3), threshold=np.ones(2))})],
            ),
            "threshold must be one number or 3",
        ),
    ],
)
def test_data_that_do_not_fit_are_refused(data: ReportData, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Report(data).to_html()


def test_a_time_step_that_is_none_is_refused() -> None:
    with pytest.raises(ParameterError, match="dt must be a positive"):
        Report(ReportData(title="t", dt=0.0))


def test_environment_is_ready_for_json_and_true() -> None:
    found = json.loads(json.dumps(environment()))
    assert found["numpy"] == np.__version__
    assert 1 <= found["cores"] <= (os.cpu_count() or 1)
    assert found["threads"] >= 1
    assert found["cpu"]
