"""Membrane potentials over time, one lane a neuron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikewright import optional
from spikewright.errors import ShapeError
from spikewright.report import theme
from spikewright.report.data import Array, Membrane
from spikewright.report.figures.plot import Clock, Plot, two_dimensional
from spikewright.report.text import inert

LANES = 4
LANE_HEIGHT = 92
POINT_LIMIT = 3_000


def membrane(name: str, record: Membrane, timing: Clock) -> Plot:
    """Potentials of a few neurons of layer ``name``, with threshold and spikes.

    Args:
        name: the layer's name.
        record: potentials (time, neurons) with what belongs to them.
        timing: how to write time.

    Raises:
        ShapeError: spikes, threshold or neuron numbers do not fit the potentials.
    """
    v = two_dimensional(f"membrane {name!r}", record.v)
    record = _checked(name, record, v)
    columns = choose(v, record.spikes)
    fig = theme.stack([LANE_HEIGHT] * len(columns), gap=14)
    for row, column in enumerate(columns, start=1):
        _draw(fig, row, _lane(record, column), timing)
        label = column if record.neurons is None else int(record.neurons[column])
        fig.update_yaxes(title_text=f"neuron {label}", row=row, col=1)
    fig.update_xaxes(range=[-0.5 * timing.scale, (len(v) - 0.5) * timing.scale])
    fig.update_xaxes(title_text=timing.title, row=len(columns), col=1)
    fig.update_layout(margin_t=18 if record.against is None else 34)
    fig.update_layout(showlegend=record.against is not None)
    unit = f", in {inert(record.unit)}" if record.unit else ""
    return Plot(fig, f"Membrane potential · {name}", _caption(record, columns, unit), linked=True)


def choose(v: Array, spikes: Array | None) -> Sequence[int]:
    """Columns to draw: from the busiest to the quietest neuron that spikes, evenly by rank.

    >>> choose(np.zeros((2, 6)), np.array([[1, 0, 1, 1, 0, 1], [1, 0, 1, 0, 0, 0]]))
    [0, 2, 3, 5]
    """
    activity = np.ptp(v, axis=0) if spikes is None else np.count_nonzero(spikes, axis=0)
    ranked = np.argsort(-activity, kind="stable")
    active = ranked[activity[ranked] > 0]
    ranked = active if len(active) else ranked
    places = np.linspace(0, len(ranked) - 1, min(LANES, len(ranked))).round().astype(int)
    return [int(column) for column in ranked[places]]


def envelope(x: Array, y: Array, limit: int = POINT_LIMIT) -> tuple[Array, Array]:
    """Thin a long trace to about ``limit`` points and keep every peak and trough.

    >>> x, y = envelope(np.arange(1000), np.eye(1, 1000, 500)[0], limit=20)
    >>> len(x) <= 20, y.max()
    (True, np.float64(1.0))
    """
    if len(y) <= limit:
        return x, y
    width = -(-2 * len(y) // limit)
    starts = np.arange(0, len(y), width)
    keep = [
        begin + place
        for begin in starts
        for place in sorted(
            {int(np.argmin(y[begin : begin + width])), int(np.argmax(y[begin : begin + width]))}
        )
    ]
    return x[keep], y[keep]


def _checked(name: str, record: Membrane, v: Array) -> Membrane:
    def misfit(what: str, rule: str, got: Any) -> ShapeError:
        return ShapeError(
            f"report.membrane {name!r}: {what} must be {rule}, got {got}. "
            "Record it for the same neurons and steps as v."
        )

    spikes, threshold, neurons = record.spikes, record.threshold, record.neurons
    if spikes is not None:
        spikes = two_dimensional(f"membrane {name!r}", spikes)
        if spikes.shape != v.shape:
            raise misfit("spikes", f"of shape {v.shape}", spikes.shape)
    if threshold is not None:
        if np.size(threshold) not in (1, v.shape[1]):
            raise misfit("threshold", f"one number or {v.shape[1]}", np.size(threshold))
        threshold = np.broadcast_to(np.ravel(threshold), (v.shape[1],))
    if neurons is not None and np.size(neurons) != v.shape[1]:
        raise misfit("neurons", f"{v.shape[1]} numbers", np.size(neurons))
    against = record.against
    if against is not None:
        against = two_dimensional(f"membrane {name!r}", against)
        if against.shape != v.shape:
            raise misfit("against", f"of shape {v.shape}", against.shape)
    return replace(
        record, v=v, spikes=spikes, threshold=threshold, neurons=neurons, against=against
    )


@dataclass(frozen=True)
class Lane:
    """One neuron: its potential (time,), the steps in which it spikes, its threshold.

    ``against`` is its potential elsewhere; ``names`` says what the two are.
    """

    v: Array
    spikes: Array
    threshold: float | None
    against: Array | None = None
    names: tuple[str, str] = ("", "")

    def extent(self) -> tuple[float, float]:
        """Lowest and highest level to show, never equal."""
        shown = [self.v] if self.against is None else [self.v, self.against]
        levels = [float(level) for v in shown for level in v[np.isfinite(v)]]
        levels += [] if self.threshold is None else [self.threshold]
        low, high = (min(levels), max(levels)) if levels else (0.0, 1.0)
        return (low, high) if high > low else (low - 0.5, high + 0.5)


def _lane(record: Membrane, column: int) -> Lane:
    threshold = None if record.threshold is None else float(np.ravel(record.threshold)[column])
    spikes = np.zeros(0, int) if record.spikes is None else np.nonzero(record.spikes[:, column])[0]
    against = None if record.against is None else record.against[:, column]
    return Lane(record.v[:, column], spikes, threshold, against, record.names)


def _draw(fig: Any, row: int, lane: Lane, timing: Clock) -> None:
    x, y = envelope(timing.times(np.arange(len(lane.v))), lane.v.astype(np.float32))
    low, high = lane.extent()
    height = high - low
    marks = np.full(len(lane.spikes), high + 0.16 * height, np.float32)
    first = row == 1 and lane.against is not None
    fig.add_trace(_potential((x, y), timing, lane.names[0], first), row=row, col=1)
    if lane.against is not None:
        seen = np.nonzero(np.isfinite(lane.against))[0]
        other = timing.times(seen), lane.against[seen].astype(np.float32)
        fig.add_trace(_samples(other, timing, lane.names[1], first), row=row, col=1)
    fig.add_trace(_marks(timing.times(lane.spikes), marks, timing), row=row, col=1)
    if lane.threshold is not None:
        line = {"color": theme.MUTED, "width": 1, "dash": "dot"}
        fig.add_hline(y=lane.threshold, line=line, row=row, col=1)
    fig.update_yaxes(range=[low - 0.06 * height, high + 0.3 * height], row=row, col=1)
    fig.update_yaxes(nticks=3, showgrid=False, row=row, col=1)


def _potential(xy: tuple[Array, Array], timing: Clock, name: str, legend: bool) -> Any:
    go: Any = optional.require("plotly.graph_objects")
    return go.Scatter(
        x=xy[0],
        y=xy[1],
        mode="lines",
        name=inert(name),
        showlegend=legend,
        line={"color": theme.BLUE, "width": 1.5},
        hovertemplate=f"%{{y:.4~g}} at %{{x:.6~g}} {timing.unit}<extra></extra>",
    )


def _samples(xy: tuple[Array, Array], timing: Clock, name: str, legend: bool) -> Any:
    """The potential elsewhere: its samples, joined by a thin line."""
    go: Any = optional.require("plotly.graph_objects")
    return go.Scatter(
        x=xy[0],
        y=xy[1],
        mode="lines+markers",
        name=inert(name),
        showlegend=legend,
        line={"color": theme.GREEN, "width": 1.2, "dash": "dot"},
        marker={"color": theme.GREEN, "size": 4},
        hovertemplate=f"{inert(name)}: %{{y:.4~g}} at %{{x:.6~g}} {timing.unit}<extra></extra>",
    )


def _marks(x: Array, y: Array, timing: Clock) -> Any:
    go: Any = optional.require("plotly.graph_objects")
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"symbol": "line-ns", "size": 9, "line": {"color": theme.ORANGE, "width": 2}},
        showlegend=False,
        hovertemplate=f"spike at %{{x:.6~g}} {timing.unit}<extra></extra>",
    )


def _caption(record: Membrane, columns: Sequence[int], unit: str) -> str:
    parts = [f"The membrane potential{unit} of {len(columns)} of {record.v.shape[1]} neurons"]
    parts[0] += ", from the busiest (top) to the quietest that is active."
    if record.threshold is not None:
        parts.append("Dotted: the threshold.")
    if record.spikes is not None:
        parts.append("Orange marks: spikes.")
    if record.against is not None:
        parts.append(f"Blue: {record.names[0]}; green points: {record.names[1]}.")
    parts.append("A trace that hovers far below its threshold belongs to a neuron hard to train.")
    return " ".join(parts)
