"""Key figures at the head of the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spikewright.report.data import ReportData
from spikewright.report.program import program_cards
from spikewright.report.text import counted, duration, number, percent


@dataclass(frozen=True)
class Card:
    """One key figure: what it is, its value, and a remark in small print."""

    label: str
    value: str
    note: str = ""


def cards(data: ReportData) -> list[Card]:
    """The cards that there is a value for."""
    summary = data.summary
    found = [
        _card("Test accuracy", summary.accuracy, percent, _chance(data)),
        _card("Test loss", summary.loss, number, "mean over samples"),
        _card("Training time", summary.seconds, duration, _epochs(data)),
        _card("Parameters", summary.parameters, number, "trainable numbers"),
        _card("Spikes per inference", summary.spikes_per_inference, number, "whole network"),
        _card("Firing rate", summary.firing_rate, number, _hertz(data)),
    ]
    found += [Card(*card) for card in (program_cards(data.program) if data.program else ())]
    extra = [Card(label, value) for label, value in summary.extra.items()]
    return [card for card in found if card is not None] + extra


def _card(label: str, value: float | None, write: Callable[[float], str], note: str) -> Card | None:
    return None if value is None else Card(label, write(float(value)), note)


def _chance(data: ReportData) -> str:
    return f"chance: {percent(1 / len(data.classes))}" if data.classes else ""


def _epochs(data: ReportData) -> str:
    epochs = {
        record["epoch"]
        for record in data.curves
        if record.get("kind") == "train" and "epoch" in record
    }
    return counted(len(epochs), "epoch") if epochs else ""


def _hertz(data: ReportData) -> str:
    note = "spikes per neuron and step"
    if data.dt is None or data.summary.firing_rate is None:
        return note
    rate = data.summary.firing_rate / data.dt
    return f"{note} ({number(rate / 1000)} kHz)" if rate >= 1000 else f"{note} ({number(rate)} Hz)"
