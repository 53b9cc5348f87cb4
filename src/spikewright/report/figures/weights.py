"""Weight histograms, one small plot a connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikewright import optional
from spikewright.report import theme
from spikewright.report.data import Array, Weights
from spikewright.report.figures.histogram import bars, edges, finite
from spikewright.report.figures.plot import Plot
from spikewright.report.text import counted, number


def weights(connections: Mapping[str, Weights]) -> list[Plot]:
    """One histogram a connection: after training as bars, before as a faint outline."""
    return [_one(name, pair) for name, pair in connections.items() if finite(pair.after).size]


def _one(name: str, pair: Weights) -> Plot:
    after = finite(pair.after)
    before = finite(pair.before) if pair.before is not None else after[:0]
    bins = edges(np.concatenate([after, before]))
    fig = theme.figure()
    hover = "%{y} weights near %{x:.3~g}<extra></extra>"
    fig.add_trace(
        bars(after, bins, name="after", marker={"color": theme.BLUE}, hovertemplate=hover)
    )
    if before.size:
        fig.add_trace(_outline(before, bins))
    fig.update_xaxes(title_text="weight", nticks=6)
    fig.update_yaxes(title_text="weights", rangemode="tozero")
    fig.update_layout(height=240, barmode="overlay", showlegend=bool(before.size))
    return Plot(fig, name, _caption(pair, after, before))


def _outline(values: Array, bins: Array) -> Any:
    go: Any = optional.require("plotly.graph_objects")
    counts, _ = np.histogram(values, bins)
    return go.Scatter(
        x=np.repeat(bins, 2).astype(np.float32),
        y=np.concatenate([[0], np.repeat(counts, 2), [0]]).astype(np.int32),
        name="before",
        mode="lines",
        line={"color": theme.MUTED, "width": 1.2},
        hoverinfo="skip",
    )


def _caption(pair: Weights, after: Array, before: Array) -> str:
    spread = f"spread (sd) {number(float(after.std()))}"
    if before.size:
        spread = f"spread (sd) {number(float(before.std()))} → {number(float(after.std()))}"
    text = f"{counted(after.size, 'weight')}, mean {number(float(after.mean()))}, {spread}."
    lost = np.size(pair.after) - after.size
    return text + (f" {counted(lost, 'value')} not finite, left out." if lost else "")
