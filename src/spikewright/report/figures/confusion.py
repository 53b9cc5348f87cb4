"""The confusion matrix: which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikewright import optional
from spikewright.errors import ShapeError
from spikewright.report import theme
from spikewright.report.data import Array
from spikewright.report.figures.plot import Plot
from spikewright.report.text import class_name, inert, percent, short

NUMBERS_UP_TO = 20
NAMES_UP_TO = 40


def confusion(counts: Array, classes: Sequence[str]) -> Plot | None:
    """Counts of (true class, chosen class) as a matrix; ``None`` if nothing was counted.

    Args:
        counts: (classes, classes), rows the true class.
        classes: class names; numbers stand in where it is empty.

    Raises:
        ShapeError: not a square matrix, or not as many names as rows.
    """
    counts = _checked(np.asarray(counts), classes)
    if not counts.sum():
        return None
    size = len(counts)
    names = [class_name(classes, i) if classes else str(i) for i in range(size)]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    fig = theme.figure()
    fig.add_trace(_cells(counts, shares, [inert(name) for name in names]))
    height = int(np.clip(150 + 44 * size, 320, 600))
    width = height + _axes(fig, [short(name) for name in names])
    fig.update_layout(height=height, margin_t=10)
    return Plot(fig, "", _caption(counts, shares, classes), width=width)


def _axes(fig: Any, names: list[str]) -> int:
    """Label both axes; the left margin, px, that the labels need."""
    longest = max(len(name) for name in names)
    left = 44 + 8 * longest
    ticks: dict[str, Any] = {"nticks": 10}
    if len(names) <= NAMES_UP_TO:
        labels = [inert(name) for name in names]
        ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": labels}
    fig.update_layout(margin_l=left)
    fig.update_xaxes(**ticks, title_text="chosen class", showline=False)
    fig.update_xaxes(autotickangles=[0, -40, -90], automargin="height")
    fig.update_yaxes(**ticks, title_text="true class", showgrid=False)
    fig.update_yaxes(autorange="reversed", title_standoff=12)
    return left


def _checked(counts: Array, classes: Sequence[str]) -> Array:
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ShapeError(
            f"report.confusion: counts must be a square matrix, got shape {counts.shape}. "
            "Count (true class, chosen class) over the test samples."
        )
    if classes and len(classes) != len(counts):
        raise ShapeError(
            f"report.confusion: class names must be as many as the {len(counts)} rows, got "
            f"{len(classes)}. Pass one name a class, or none."
        )
    return counts


def _cells(counts: Array, shares: Array, names: list[str]) -> Any:
    go: Any = optional.require("plotly.graph_objects")
    text = [[f"{value:,.0f}" if value else "" for value in row] for row in counts.tolist()]
    hover = [
        [
            f"true: {true}<br>chosen: {names[j]}<br>{counts[i, j]:,.0f} samples, "
            f"{percent(float(shares[i, j]))} of this row"
            for j in range(len(names))
        ]
        for i, true in enumerate(names)
    ]
    return go.Heatmap(
        z=shares.astype(np.float32),
        text=text if len(names) <= NUMBERS_UP_TO else None,
        texttemplate="%{text}" if len(names) <= NUMBERS_UP_TO else None,
        hovertext=hover,
        hovertemplate="%{hovertext}<extra></extra>",
        colorscale=[list(stop) for stop in theme.SEQUENTIAL],
        zmin=0,
        zmax=1,
        xgap=2,
        ygap=2,
        showscale=False,
    )


def _caption(counts: Array, shares: Array, classes: Sequence[str]) -> str:
    text = (
        "Rows are true classes, columns what the network chose; numbers count test samples, "
        "the stronger the colour, the larger the share of the row. The diagonal is right."
    )
    wrong = counts - np.diag(np.diag(counts))
    if not wrong.any():
        return text + " There is no mistake."
    i, j = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    true, chosen = class_name(classes, int(i)), class_name(classes, int(j))
    share = percent(float(shares[i, j]))
    return f"{text} Most frequent mistake: “{true}” taken for “{chosen}”, {share} of its samples."
