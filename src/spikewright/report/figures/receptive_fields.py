"""What each neuron looks for in a picture: its input weights, laid out as the picture is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikewright import optional
from spikewright.errors import ShapeError
from spikewright.report import theme
from spikewright.report.data import Array, Weights
from spikewright.report.figures.plot import Plot
from spikewright.report.text import counted

MOST_NEURONS = 100


def receptive_fields(connections: Mapping[str, Weights]) -> list[Plot]:
    """One picture for each connection that comes from one."""
    return [_one(name, record) for name, record in connections.items() if record.picture]


def _one(name: str, record: Weights) -> Plot:
    go: Any = optional.require("plotly.graph_objects")
    mosaic = tiled(record)
    fig = theme.figure()
    fig.add_trace(
        go.Heatmap(
            z=mosaic,
            colorscale=[list(stop) for stop in theme.SEQUENTIAL],
            showscale=False,
            hoverongaps=False,
            hovertemplate="weight %{z:.3~g}<extra></extra>",
        )
    )
    fig.update_xaxes(visible=False)
    fig.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")
    fig.update_layout(height=560, margin_t=10)
    shown = min(len(record.after), MOST_NEURONS)
    left = len(record.after) - shown
    caption = f"Input weights of {counted(shown, 'neuron')}, dark for large ones" + (
        f"; {left} more are not shown." if left else "."
    )
    return Plot(fig, f"{name}: receptive fields", caption, width=600)


def tiled(record: Weights) -> Array:
    """The pictures of the first neurons side by side, row by row, a gap of NaN between them.

    Raises:
        ShapeError: the inputs of a neuron do not fill the picture.
    """
    weights = np.asarray(record.after, dtype=np.float32)[:MOST_NEURONS]
    rows, columns = record.picture or (0, 0)
    if weights.ndim != 2 or weights.shape[1] != rows * columns:
        raise ShapeError(
            f"report.receptive_fields: weights must be (neurons, {rows} * {columns}), got "
            f"{np.shape(record.after)}. Leave picture out, or correct it."
        )
    across = math.ceil(math.sqrt(len(weights)))
    down = math.ceil(len(weights) / across)
    mosaic = np.full((down * (rows + 1) - 1, across * (columns + 1) - 1), np.nan, np.float32)
    for number, field in enumerate(weights):
        y, x = (number // across) * (rows + 1), (number % across) * (columns + 1)
        mosaic[y : y + rows, x : x + columns] = field.reshape(rows, columns)
    return mosaic
