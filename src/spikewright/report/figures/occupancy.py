"""What sits where on a target."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright import optional
from spikewright.errors import ShapeError
from spikewright.report import theme
from spikewright.report.compiled import Occupancy
from spikewright.report.data import Array
from spikewright.report.figures.plot import Plot
from spikewright.report.text import inert, percent


def occupancy(record: Occupancy) -> Plot:
    """The places of a core in the colours of what they hold.

    Raises:
        ShapeError: the cells are no grid, or name a label that is not there.
    """
    cells = _checked(record)
    fig = theme.figure()
    for index, label in enumerate(record.labels):
        if (cells == index).any():
            fig.add_trace(_one(cells == index, inert(label), index))
    fig.update_xaxes(title_text=record.axes[1], range=[-0.5, cells.shape[1] - 0.5])
    fig.update_yaxes(
        title_text=record.axes[0], range=[cells.shape[0] - 0.5, -0.5], showgrid=False, showline=True
    )
    fig.update_layout(height=340, showlegend=True)
    used = float((cells >= 0).mean())
    rows, columns = (int((cells >= 0).any(axis).sum()) for axis in (1, 0))
    caption = (
        f"{percent(used)} of the places hold a weight: {rows:,} of {cells.shape[0]:,} "
        f"{record.axes[0]}s and {columns:,} of {cells.shape[1]:,} {record.axes[1]}s are in use."
    )
    return Plot(fig, record.name, caption, width=520)


def _checked(record: Occupancy) -> Array:
    cells = np.asarray(record.cells)
    if cells.ndim != 2 or not cells.size or int(cells.max()) >= len(record.labels):
        raise ShapeError(
            f"report.occupancy {record.name!r}: cells must be (rows, columns) of numbers below "
            f"{len(record.labels)}, got shape {cells.shape}. Number the labels from 0 on."
        )
    return cells


def _one(held: Array, label: str, index: int) -> Any:
    go: Any = optional.require("plotly.graph_objects")
    colour = theme.CATEGORIES[index % len(theme.CATEGORIES)]
    return go.Heatmap(
        z=np.where(held, 1.0, np.nan).astype(np.float32),
        colorscale=[[0, colour], [1, colour]],
        showscale=False,
        showlegend=True,
        name=label,
        opacity=0.85,
        hoverongaps=False,
        hovertemplate=f"{label}: %{{y}}, %{{x}}<extra></extra>",
    )
