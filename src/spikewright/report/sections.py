"""Which sections a page has: those that there is data for, in reading order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spikewright.report.data import Goal, LayerRow, Listing, ReportData, Sample
from spikewright.report.figures.boundary import boundary
from spikewright.report.figures.confusion import confusion
from spikewright.report.figures.credit import credit
from spikewright.report.figures.curves import curves
from spikewright.report.figures.measured import measured
from spikewright.report.figures.membrane import membrane
from spikewright.report.figures.plot import Plot, clock
from spikewright.report.figures.raster import raster
from spikewright.report.figures.rates import rate_curves, rate_histograms
from spikewright.report.figures.readout import readout
from spikewright.report.figures.receptive_fields import receptive_fields
from spikewright.report.figures.tradeoff import tradeoff
from spikewright.report.figures.weights import weights
from spikewright.report.program import program_sections
from spikewright.report.section import Section, Tab, Table
from spikewright.report.text import class_name, flatten, number, percent


def sections(data: ReportData) -> list[Section]:
    """All sections with something to show."""
    found = [
        Section("goals", "Figures to meet", table=_goals(data.goals)),
        Section("measured", "Measured curves", plots=[measured(it) for it in data.measured]),
        Section("tradeoffs", "Designs", plots=[tradeoff(it) for it in data.tradeoffs]),
        *(_listing(place, it) for place, it in enumerate(data.listings)),
        Section("learning", "Learning", plots=curves(data.curves), grid=True),
        _stages(data),
        *program_sections(data.program),
        _answers(data),
        Section("samples", "Inside the network", SAMPLES, tabs=_tabs(data)),
        _activity(data),
        _teaching(data),
        Section("weights", "Weights", WEIGHTS, plots=_weights(data), grid=True),
        Section("layers", "Layers", table=_layers(data.layers)),
        Section("settings", "Settings", table=_pairs(data.settings, "setting")),
        Section("environment", "Environment", table=_pairs(data.environment, "what")),
    ]
    return [it for it in found if it.plots or it.tabs or it.table or it.notes]


SAMPLES = (
    "What happens between input and answer, sample by sample. All time axes of a sample are "
    "linked: zoom into one and the others follow."
)
WEIGHTS = (
    "Bars: weights after training; thin line: before, where it was kept. Weights that barely "
    "moved point to a layer that did not learn; a pile at one edge, to a bound that clips."
)
STAGES = (
    "One network and its test samples in software and on hardware. What it loses when it is "
    "deployed is the hardware's imperfection; training with the hardware in the loop learns to "
    "live with it."
)
RATES = (
    "How the neurons of each layer share the work. A bar at zero counts silent neurons: for the "
    "samples measured they add nothing."
)


def _goals(goals: Sequence[Goal]) -> Table | None:
    rows = [(it.metric, it.wanted, it.source, it.ours, "yes" if it.met else "no") for it in goals]
    head = ("metric", "reference", "source", "ours, mean ± sd", "met")
    return Table(head, rows, numeric=(1, 3)) if rows else None


def _listing(place: int, it: Listing) -> Section:
    table = Table(it.head, it.rows, numeric=it.numeric) if it.rows else None
    return Section(f"listing-{place}", it.title, it.lead, table=table)


def _stages(data: ReportData) -> Section:
    """From software to hardware: a line and, where there is a plane, a picture for each stage."""
    rows = [
        (stage.name, percent(stage.accuracy), _maybe(stage.loss), stage.note)
        for stage in data.stages
    ]
    plots = [boundary(record, data.classes) for record in data.boundaries]
    table = Table(("stage", "test accuracy", "test loss", "what was done"), rows, numeric=(1, 2))
    lead = STAGES if rows else ""
    title = "From software to hardware" if rows else "Choices over the plane"
    return Section("stages", title, lead, plots, grid=True, table=table if rows else None)


def _answers(data: ReportData) -> Section:
    plot = None if data.confusion is None else confusion(data.confusion, data.classes)
    return Section("answers", "Confusion matrix", plots=[plot] if plot else [])


def _activity(data: ReportData) -> Section:
    over_time = rate_curves(data.curves)
    histograms = rate_histograms(data.rates)
    plots = histograms + ([over_time] if over_time else [])
    return Section("rates", "Firing rates", RATES if histograms else "", plots=plots, grid=True)


def _weights(data: ReportData) -> list[Plot]:
    return [*weights(data.weights), *receptive_fields(data.weights)]


def _teaching(data: ReportData) -> Section:
    if data.credit is None:
        return Section("credit", "Credit")
    layers = {name: values.tolist() for name, values in data.credit.layers.items()}
    plot = credit(data.credit.edges.tolist(), layers)
    return Section("credit", "Credit", f"The loss: {data.credit.loss}.", plots=[plot])


def _tabs(data: ReportData) -> list[Tab]:
    tabs = [_tab(data, place, sample) for place, sample in enumerate(data.samples, start=1)]
    return [tab for tab in tabs if tab.plots]


def _tab(data: ReportData, place: int, sample: Sample) -> Tab:
    timing = clock(sample.dt or data.dt, _steps(sample))
    potentials = [membrane(name, record, timing) for name, record in sample.membranes.items()]
    plots = [raster(sample, timing), *potentials, readout(sample, data.classes, timing)]
    label = sample.name or f"sample {place}"
    if not sample.name and sample.target is not None:
        label = f"{label}: {class_name(data.classes, sample.target)}"
    known = sample.target is not None and sample.prediction is not None
    right = sample.target == sample.prediction if known else None
    return Tab(label, [plot for plot in plots if plot is not None], right)


def _steps(sample: Sample) -> int:
    arrays = [sample.input, sample.readout, *sample.hidden.values()]
    arrays += [record.v for record in sample.membranes.values()]
    return max((len(values) for values in arrays if values is not None), default=1)


def _layers(layers: Sequence[LayerRow]) -> Table | None:
    rows = [
        (
            row.name,
            row.kind,
            " × ".join(str(size) for size in row.shape),
            f"{row.parameters:,}" if row.parameters else "–",
            _maybe(row.rate),
        )
        for row in layers
    ]
    head = ("layer", "kind", "output shape", "parameters", "spikes/step")
    return Table(head, rows, numeric=(2, 3, 4)) if rows else None


def _maybe(value: float | None) -> str:
    return "–" if value is None else number(value)


def _pairs(values: Mapping[str, Any], what: str) -> Table | None:
    rows = list(flatten(values))
    return Table((what, "value"), rows, pairs=True) if rows else None
