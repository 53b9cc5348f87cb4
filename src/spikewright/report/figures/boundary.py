"""Decision boundaries: which class a network chooses at each point of a plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikewright import optional
from spikewright.errors import ShapeError
from spikewright.report import theme
from spikewright.report.data import Array, Boundary
from spikewright.report.figures.plot import Plot
from spikewright.report.text import class_name, counted, inert


def boundary(record: Boundary, classes: Sequence[str]) -> Plot:
    """The plane in the colours of the chosen classes, and the points that are taken wrongly.

    Args:
        record: choices on a grid, and points with their right and chosen classes.
        classes: class names.

    Raises:
        ShapeError: the choices are no grid of ``x`` and ``y``, or points and classes differ.
    """
    chosen = _checked(record)
    count = max(len(classes), int(chosen.max()) + 1)
    fig = theme.figure()
    fig.add_trace(_plane(record, chosen, count, classes))
    wrong = record.targets != record.predictions
    fig.add_trace(_mistakes(record, wrong, classes))
    fig.update_xaxes(title_text=record.axes[0], range=_ends(record.x), showline=False)
    fig.update_yaxes(
        title_text=record.axes[1], range=_ends(record.y), showgrid=False, scaleanchor="x"
    )
    fig.update_layout(height=360, margin_t=10)
    return Plot(fig, record.name, _caption(record, wrong, classes, count))


def _checked(record: Boundary) -> Array:
    chosen = np.asarray(record.chosen)
    wanted = (np.size(record.y), np.size(record.x))
    if chosen.shape != wanted or not chosen.size:
        raise ShapeError(
            f"report.boundary {record.name!r}: chosen must be one class for each of (y, x) = "
            f"{wanted}, got shape {chosen.shape}. Run the network on np.meshgrid(x, y)."
        )
    sizes = {len(record.points), len(record.targets), len(record.predictions)}
    if len(sizes) != 1:
        raise ShapeError(
            f"report.boundary {record.name!r}: points, targets and predictions must be as many, "
            f"got {sorted(sizes)}. Pass one of each a point."
        )
    return chosen


def _ends(values: Array) -> list[float]:
    """From edge to edge of the outermost cells."""
    half = 0.5 * float(values[1] - values[0]) if len(values) > 1 else 0.5
    return [float(values[0]) - half, float(values[-1]) + half]


def _plane(record: Boundary, chosen: Array, count: int, classes: Sequence[str]) -> Any:
    go: Any = optional.require("plotly.graph_objects")
    names = np.array([inert(class_name(classes, index)) for index in range(count)], dtype=object)
    seen = np.isfinite(chosen) & (chosen >= 0)
    label = np.where(seen, names[np.where(seen, chosen, 0).astype(int)], "")
    return go.Heatmap(
        x=np.asarray(record.x, np.float32),
        y=np.asarray(record.y, np.float32),
        z=np.where(seen, chosen, np.nan).astype(np.float32),
        zmin=-0.5,
        zmax=count - 0.5,
        colorscale=_steps(count),
        showscale=False,
        opacity=0.45,
        customdata=label,
        hovertemplate="%{customdata} at (%{x:.2f}, %{y:.2f})<extra></extra>",
    )


def _steps(count: int) -> list[list[Any]]:
    """A colour scale of ``count`` flat colours."""
    colours = [theme.CATEGORIES[index % len(theme.CATEGORIES)] for index in range(count)]
    return [
        [edge / count, colour]
        for index, colour in enumerate(colours)
        for edge in (index, index + 1)
    ]


def _mistakes(record: Boundary, wrong: Array, classes: Sequence[str]) -> Any:
    go: Any = optional.require("plotly.graph_objects")
    points = np.asarray(record.points)[wrong]
    text = [
        f"{inert(class_name(classes, int(right)))} taken for {inert(class_name(classes, int(got)))}"
        for right, got in zip(record.targets[wrong], record.predictions[wrong], strict=True)
    ]
    return go.Scatter(
        x=points[:, 0].astype(np.float32),
        y=points[:, 1].astype(np.float32),
        mode="markers",
        marker={"symbol": "x-thin", "size": 7, "line": {"color": theme.INK, "width": 1.4}},
        text=text,
        hovertemplate="%{text}<extra></extra>",
    )


def _caption(record: Boundary, wrong: Array, classes: Sequence[str], count: int) -> str:
    colours = ("blue", "orange", "green", "purple", "ochre")
    named = ", ".join(
        f"{colours[index % len(colours)]}: {class_name(classes, index)}" for index in range(count)
    )
    mistakes = counted(int(wrong.sum()), "point")
    return (
        f"Chosen class over the plane ({named}). Crosses: {mistakes} of {len(wrong)} taken wrongly."
    )
