"""What was measured over something that was varied: accuracy over steps, say."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright import optional
from spikewright.errors import ShapeError
from spikewright.report import theme
from spikewright.report.data import Curve, Line
from spikewright.report.figures.plot import Plot
from spikewright.report.text import inert, number

MOST_TICKS = 12


def measured(curve: Curve) -> Plot:
    """One figure: a line with a mark at each value, and levels drawn across.

    Raises:
        ShapeError: a line has no point, or x, y and spread differ in length.
    """
    fig = theme.figure()
    places = sorted({float(x) for line in curve.lines.values() for x in _checked(curve, line).x})
    for index, (name, line) in enumerate(curve.lines.items()):
        colour = theme.CATEGORIES[index % len(theme.CATEGORIES)]
        dash = theme.DASHES[index // len(theme.CATEGORIES) % len(theme.DASHES)]
        fig.add_trace(_trace(inert(name), line, places, {"color": colour, "dash": dash}))
    fig.update_xaxes(title_text=inert(curve.x), type="log" if curve.logarithmic else "linear")
    if places:
        shown = places[:: -(-len(places) // MOST_TICKS)]
        fig.update_xaxes(tickvals=shown, ticktext=[number(place) for place in shown])
    fig.update_yaxes(title_text=inert(curve.y))
    fig.update_layout(height=340, showlegend=True)
    return Plot(fig, curve.title, curve.caption, width=760)


def _checked(curve: Curve, line: Line) -> Line:
    sizes = {len(line.y), len(line.x) or 1, *([len(line.spread)] if line.spread else [])}
    if len(sizes) > 1 or not line.y:
        raise ShapeError(
            f"report.measured: lines of {curve.title!r} must have as many x as y and spread, or no "
            f"x and one y, got {len(line.x)}, {len(line.y)} and {len(line.spread)}. Correct them."
        )
    return line


def _trace(name: str, line: Line, places: list[float], look: dict[str, Any]) -> Any:
    go: Any = optional.require("plotly.graph_objects")
    if not line.x:
        ends = [places[0], places[-1]] if places else [0.0, 1.0]
        return go.Scatter(
            x=ends,
            y=[line.y[0]] * 2,
            name=name,
            mode="lines",
            line={**look, "dash": "dash", "width": 2},
            hovertemplate=f"{name} %{{y:.4~g}}<extra></extra>",
        )
    return go.Scatter(
        x=np.asarray(line.x, np.float64),
        y=np.asarray(line.y, np.float64),
        error_y={"array": list(line.spread), "thickness": 1, "width": 3} if line.spread else None,
        name=name,
        mode="lines+markers",
        line={**look, "width": 2},
        marker={"size": 7, "color": look["color"]},
        hovertemplate=f"{name} %{{y:.4~g}}, %{{x:~g}}<extra></extra>",
    )
