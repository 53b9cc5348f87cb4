"""What a report shows, as plain data: NumPy arrays, numbers and text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from spikewright.report.compiled import Compiled

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Key figures, shown as cards; ``None`` leaves a card out.

    Args:
        accuracy: share of test samples classified rightly, 0 to 1.
        loss: mean loss on the test samples.
        seconds: wall-clock time of training, s.
        parameters: how many numbers training may change.
        spikes_per_inference: mean number of spikes that the network emits for one sample.
        firing_rate: mean over spiking layers, spikes per neuron and time step.
        extra: further cards, label to text.
    """

    accuracy: float | None = None
    loss: float | None = None
    seconds: float | None = None
    parameters: int | None = None
    spikes_per_inference: float | None = None
    firing_rate: float | None = None
    extra: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class Membrane:
    """Membrane potentials of one layer for one sample.

    Args:
        v: potentials, (time, neurons), V or dimensionless.
        spikes: spikes of the same neurons, (time, neurons).
        threshold: where a neuron spikes: one number or (neurons,), in the unit of ``v``.
        neurons: true index of each column of ``v``, (neurons,), where only some were recorded.
        unit: unit of ``v`` for the axis, empty if dimensionless.
        against: the same potentials from elsewhere, a chip say, (time, neurons); NaN where there
            is no sample.
        names: what ``v`` and ``against`` are.
    """

    v: Array
    spikes: Array | None = None
    threshold: float | Array | None = None
    neurons: Array | None = None
    unit: str = ""
    against: Array | None = None
    names: tuple[str, str] = ("software", "chip")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One input and what the network did with it.

    Args:
        name: label of its tab; empty for "sample 1", "sample 2", ...
        input: (time, *features); whole numbers are drawn as spikes, others as a colour map.
        hidden: spikes by layer name, each (time, *features).
        membranes: potentials by layer name.
        readout: output over time, (time, classes).
        target: index of the right class.
        prediction: index of the class that the network chose.
        dt: time step of these arrays, s; that of the report if not given.
    """

    name: str = ""
    input: Array | None = None
    hidden: Mapping[str, Array] = field(default_factory=dict[str, Array])
    membranes: Mapping[str, Membrane] = field(default_factory=dict[str, Membrane])
    readout: Array | None = None
    target: int | None = None
    prediction: int | None = None
    dt: float | None = None


@dataclass(frozen=True, kw_only=True)
class Credit:
    """Where in the trial a loss teaches spikes.

    Args:
        edges: between the parts of the trial, (parts + 1,), s.
        layers: credit in each part by layer name, each (parts,), 1/s.
        loss: what the loss is.
    """

    edges: Array
    layers: Mapping[str, Array]
    loss: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a `Curve`: values ``y`` at ``x``, and their standard deviations if there are any.

    Without ``x`` there is one value, a level to compare with.
    """

    y: Sequence[float]
    x: Sequence[float] = ()
    spread: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What was measured over something that was varied.

    Args:
        title: heading of the figure.
        x, y: what the axes show, with units.
        lines: by their names in the legend.
        caption: what there is to see.
        logarithmic: whether x is spaced by its logarithm.
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, Line]
    caption: str = ""
    logarithmic: bool = False


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of many designs: what it costs, ``x``, and what it gives, ``y``."""

    x: float
    y: float
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Tradeoff:
    """Designs by what they cost and what they give.

    Args:
        title: heading of the figure.
        x, y: what the axes show, with units.
        groups: by their names in the legend; an empty one is not shown, but keeps its colour.
        front: those that no other one beats.
        chosen: the one to build.
        caption: what there is to see.
    """

    title: str
    x: str
    y: str
    groups: Mapping[str, Sequence[Choice]]
    front: Sequence[Choice] = ()
    chosen: Choice | None = None
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A table of text under a heading; ``numeric`` columns are aligned right."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[int] = ()
    lead: str = ""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A figure that must be met: the value wanted and ours, as text, and whether it is met."""

    metric: str
    wanted: str
    source: str
    ours: str
    met: bool


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of one connection, any shape, after and optionally before training.

    ``picture``: rows and columns of the picture that the inputs are, to show what each neuron
    looks for; weights are then (neurons, rows * columns).
    """

    after: Array
    before: Array | None = None
    picture: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """Which class a network chooses at each point of a plane.

    Args:
        name: heading of the figure.
        x, y: coordinates of the grid, (columns,) and (rows,), evenly spaced.
        chosen: class index on the grid, (rows, columns); negative where nothing was asked.
        points: samples in the plane, (samples, 2).
        targets, predictions: their right and chosen classes, (samples,).
        axes: names of the two coordinates.
    """

    name: str
    x: Array
    y: Array
    chosen: Array
    points: Array
    targets: Array
    predictions: Array
    axes: tuple[str, str] = ("x", "y")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One state of a network on its way to the hardware, and how well it does there.

    Args:
        name: for example ``"on the chip, calibrated"``.
        accuracy: share of test samples classified rightly, 0 to 1.
        loss: mean loss on the test samples.
        note: what was done to get there.
    """

    name: str
    accuracy: float
    loss: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """One line of the table of layers.

    Args:
        name: the layer's name in the network.
        kind: its class, for example ``"CubaLIF"``.
        parameters: how many numbers training may change.
        shape: feature shape of its output.
        rate: spikes per neuron and time step; ``None`` where the output is not spikes.
    """

    name: str
    kind: str
    parameters: int = 0
    shape: Sequence[int] = ()
    rate: float | None = None


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything a report can show; what is left out or empty leaves its section out.

    Args:
        title: heading of the page.
        subtitle: one line under it.
        created: date or time to print in the heading; empty keeps the file reproducible.
        dt: time step, s; ``None`` draws time in steps.
        classes: class names, in the order of the class indices.
        summary: key figures.
        warnings: messages of ``doctor``, one a string.
        goals: figures that must be met.
        measured: what was measured over something that was varied.
        tradeoffs: designs by what they cost and give.
        listings: tables of any kind, each under a heading of its own.
        curves: lines of ``metrics.jsonl``, in order: ``{"kind": "train" | "validation" |
            "test", "epoch", "loss", "accuracy", "rates": {layer: spikes per neuron and step}}``.
        samples: inputs with rasters, membrane traces and readout.
        rates: firing rate by layer name, each (neurons,), spikes per neuron and time step.
        confusion: counts, (true class, chosen class).
        stages: the network in software and on hardware, in order.
        boundaries: choices over a plane, one a stage.
        program: the network as compiled for a target.
        credit: where in the trial the loss teaches spikes, for rules that follow events.
        weights: weights by connection name.
        layers: the table of layers, in order.
        settings: nested settings of the run.
        environment: what ``environment()`` returns.
    """

    title: str
    subtitle: str = ""
    created: str = ""
    dt: float | None = None
    classes: Sequence[str] = ()
    summary: Summary = field(default_factory=Summary)
    warnings: Sequence[str] = ()
    goals: Sequence[Goal] = ()
    measured: Sequence[Curve] = ()
    tradeoffs: Sequence[Tradeoff] = ()
    listings: Sequence[Listing] = ()
    curves: Sequence[Mapping[str, Any]] = ()
    samples: Sequence[Sample] = ()
    rates: Mapping[str, Array] = field(default_factory=dict[str, Array])
    confusion: Array | None = None
    stages: Sequence[Stage] = ()
    boundaries: Sequence[Boundary] = ()
    program: Compiled | None = None
    credit: Credit | None = None
    weights: Mapping[str, Weights] = field(default_factory=dict[str, Weights])
    layers: Sequence[LayerRow] = ()
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    environment: Mapping[str, Any] = field(default_factory=dict[str, Any])
