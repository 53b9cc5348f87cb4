"""The sections on a compiled program."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikewright.errors import ShapeError
from spikewright.report import (
    AgreementRow,
    Compiled,
    CostRow,
    LimitRow,
    Occupancy,
    Report,
    ReportData,
)
from spikewright.report.cards import cards
from spikewright.report.figures.agreement import spike_counts
from spikewright.report.figures.occupancy import occupancy
from spikewright.report.sections import sections

HIDDEN = AgreementRow(
    layer="hidden",
    neurons=120,
    spikes=(12034, 11876, 9034),
    rate_errors=(0.013, 0.31),
    first_step=6,
    differing=0.213,
    membrane_error=None,
    saturations=12,
    silent=(3, 3, 7),
    saturated=(0, 0, 0),
)
OUT = AgreementRow(
    layer="out",
    neurons=3,
    spikes=(None, None, None),
    rate_errors=(None, None),
    first_step=None,
    differing=None,
    membrane_error=0.084,
    saturations=0,
    silent=(None, None, None),
    saturated=(None, None, None),
)
COST = CostRow(
    name="w",
    synaptic_operations=600.4,
    multiplications=0.0,
    updates=0.0,
    weights=600,
    weight_bits=4096,
    state_bits=4096,
)


def cells() -> np.ndarray:
    made = np.full((4, 6), -1)
    made[:2, :3] = 0
    made[3, 5] = 1
    return made


PROGRAM = Compiled(
    target="a chip",
    samples=256,
    steps=38,
    same_answer=(0.992, 0.957),
    agreement=[HIDDEN, OUT],
    costs=[COST],
    joules=7.6e-6,
    seconds=38e-6,
    energy_source="a table",
    limits=[LimitRow(name="rows", used=None, available=256, unit="rows", source="a paper")],
    places=[Occupancy(name="run 1, core 0", labels=["hidden", "out"], cells=cells())],
    notes=["a note"],
)


def shown(program: Compiled) -> dict[str, object]:
    return {it.anchor: it for it in sections(ReportData(title="t", program=program))}


def test_a_program_has_its_sections_in_reading_order() -> None:
    assert list(shown(PROGRAM)) == ["agreement", "cost", "limits", "places", "notes"]
    bare = replace(PROGRAM, limits=(), places=(), notes=())
    assert list(shown(bare)) == ["agreement", "cost"]
    assert sections(ReportData(title="t")) == []


def test_the_table_of_agreement_says_what_was_measured_and_dashes_the_rest() -> None:
    table = shown(PROGRAM)["agreement"].table
    hidden, out = (dict(zip(table.head, row, strict=True)) for row in table.rows)
    assert hidden["spikes, target"] == "9,034"
    assert hidden["rate error, target"].split() == ["31", "%"]
    assert hidden["first step apart"] == "6"
    assert hidden["silent"] == "3 → 7"
    assert hidden["at the most"] == "0"
    assert out["membrane error"].split() == ["8.4", "%"]
    assert [out[name] for name in ("spikes, float", "spikes apart", "silent")] == ["–"] * 3


def test_the_cards_hold_the_key_figures() -> None:
    found = {card.label: card.value for card in cards(ReportData(title="t", program=PROGRAM))}
    assert found["Energy"] == "7.6 µJ"
    assert found["Latency"] == "38 µs"
    assert found["Synaptic operations"] == "600"
    assert found["Memory"] == "1 KiB"
    assert found["Same answer"].startswith("95.7")


def test_the_bars_show_the_three_runs_of_layers_that_spike() -> None:
    plot = spike_counts([HIDDEN, OUT])
    assert [(bar.name, list(bar.x)) for bar in plot.figure.data] == [
        ("float", [12034]),
        ("quantised", [11876]),
        ("on the target", [9034]),
    ]
    assert spike_counts([OUT]) is None


def test_the_placement_shows_each_layer_where_it_is() -> None:
    plot = occupancy(PROGRAM.places[0])
    hidden, out = plot.figure.data
    assert np.array_equal(np.isfinite(hidden.z), cells() == 0)
    assert np.array_equal(np.isfinite(out.z), cells() == 1)
    assert "3 of 4 rows and 4 of 6 columns" in plot.caption


def test_an_empty_core_has_a_picture_too() -> None:
    plot = occupancy(Occupancy(name="empty", labels=[], cells=np.full((2, 2), -1)))
    assert "0 of 2 rows" in plot.caption


def test_cells_without_a_label_are_refused() -> None:
    for bad in (np.full((2, 2), 1), np.zeros(3), np.zeros((0, 2))):
        with pytest.raises(ShapeError, match="cells must be"):
            occupancy(Occupancy(name="bad", labels=["one"], cells=bad))


def test_names_and_notes_are_text_whatever_they_hold() -> None:
    hostile = "<img src=x onerror=alert(1)>"
    program = replace(
        PROGRAM,
        target=hostile,
        notes=[hostile],
        agreement=[replace(HIDDEN, layer=hostile)],
        places=[Occupancy(name=hostile, labels=[hostile], cells=np.zeros((2, 2), int))],
    )
    page = Report(ReportData(title="t", program=program)).to_html()
    assert hostile not in page
    assert "&lt;img src=x" in page
