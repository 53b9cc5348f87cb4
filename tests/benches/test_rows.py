"""A row with a missing figure, and tables, JSON and charts of rows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from spikewright.benches import BENCHES, Row, to_json
from spikewright.benches.core.chart import chart
from spikewright.benches.core.record import record
from spikewright.cli import app
from spikewright.errors import ParameterError

PEER = Row("step, B=2", 2.0, 8.0, "peer 1.0", kind="peer", spread=(0.02, 0.1), note="rate 5 %")
MISSING = Row("step, B=2", 2.0, None, "a < b", note="not installed", kind="peer")
LIMIT = Row("step, B=2", 2.0, 1.0, "copy", kind="limit")
PLAIN = Row("another", 1.0, 3.0, "eager")


def test_a_figure_may_be_missing_with_a_reason_only() -> None:
    assert MISSING.ratio is None
    with pytest.raises(
        ParameterError, match=r"other must be positive and finite, got None\. .*note"
    ):
        Row("case", 1.0, None, "peer")


def test_the_json_keeps_its_six_names_and_adds_what_there_is() -> None:
    peer, missing, plain = to_json("b", [PEER, MISSING, PLAIN])["rows"]
    assert list(plain) == ["case", "ours", "other", "other_name", "unit", "ratio"]
    assert (missing["other"], missing["ratio"], missing["note"]) == (None, None, "not installed")
    assert peer["spread"] == (0.02, 0.1)
    assert json.loads(json.dumps(missing))["other"] is None


def test_a_recorded_table_lists_the_missing(tmp_path: Path) -> None:
    page = record("made", "What it is.", [PEER, MISSING, LIMIT], tmp_path).read_text("utf-8")
    assert "| step, B=2 | 2 ± 2% | 8 ± 10% | peer 1.0: rate 5 % | ms | 4.00 |" in page
    assert "| step, B=2 | 2 | – | a < b: not installed | ms | – |" in page
    assert "(made.svg)" in page
    assert json.loads((tmp_path / "made.json").read_text("utf-8"))["bench"] == "made"


def test_the_command_prints_a_table_with_the_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = SimpleNamespace(rows=lambda: iter([PEER, MISSING]))
    monkeypatch.setattr(BENCHES, "load", lambda name: module)
    done = CliRunner().invoke(app, ["bench", "made", "--json", str(tmp_path / "out.json")])
    assert done.exit_code == 0, done.output
    assert re.search(r"8 ± 10%\s+peer 1\.0: rate 5 %\s+ms\s+4\.00", done.stdout)
    assert re.search(r"–\s+a < b: not installed\s+ms\s+–", done.stdout)
    rows = json.loads((tmp_path / "out.json").read_text("utf-8"))["rows"]
    assert [row["ratio"] for row in rows] == [4.0, None]


def test_a_line_of_a_message_does_not_break_the_table(tmp_path: Path) -> None:
    row = Row("step", 1.0, None, "peer", note="a | b", kind="peer")
    page = record("made", "What it is.", [row], tmp_path).read_text("utf-8")
    assert r"peer: a \| b" in page


def test_rows_without_peers_have_no_chart(tmp_path: Path) -> None:
    assert chart([PLAIN]) is None
    assert "svg" not in record("made", "What it is.", [PLAIN], tmp_path).read_text("utf-8")
    assert not (tmp_path / "made.svg").exists()


def test_a_chart_is_well_formed_and_places_figures_by_their_ratio() -> None:
    picture = chart([PEER, MISSING, LIMIT, PLAIN])
    assert picture is not None
    ElementTree.fromstring(picture)
    assert "missing: not installed" in picture
    assert "another" not in picture
    x = {colour: float(at) for at, colour in re.findall(r'cx="([\d.]+)" .*fill="(#\w+)"', picture)}
    panel = picture[picture.index("step, B=2") :]
    ours, peer = (float(at) for at in re.findall(r'circle cx="([\d.]+)"', panel))
    limit = float(re.findall(r'<line x1="([\d.]+)"[^>]*stroke-width="3"', panel)[0])
    # 8 to 2 is four times, 2 to 1 twice: two distances of one octave against one.
    assert (peer - ours) == pytest.approx(2 * (ours - limit), abs=0.5)
    assert len(x) >= 3


def test_a_chart_without_any_figure_is_drawn() -> None:
    row = Row("step", None, None, "peer", note="not installed", kind="peer")
    picture = chart([row])
    assert picture is not None
    ElementTree.fromstring(picture)
    assert picture.count("missing: not installed") == 2
